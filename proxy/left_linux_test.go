package proxy

import (
	"net"
	"testing"
	"time"
)

func TestAClientThatLeftIsKnownAlsoBehindUnreadBytes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	c, err := ln.Accept()
	must(t, err)
	defer c.Close()
	client.Write([]byte("more to come"))
	if hasLeft(c.(*net.TCPConn)) {
		t.Error("it is still there")
	}
	client.Close()
	for deadline := time.Now().Add(5 * time.Second); !hasLeft(c.(*net.TCPConn)); {
		if time.Now().After(deadline) {
			t.Fatal("its leaving went unnoticed")
		}
		<-time.After(time.Millisecond)
	}
}
