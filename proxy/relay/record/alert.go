package record

import (
	"crypto/tls"
	"io"
	"strings"
)

// Alert is the error of a connection that an alert has ended.
type Alert struct {
	Code   tls.AlertError
	Sent   bool   // by us, not by the peer
	Reason string // what we did not like
}

func (a *Alert) Error() string {
	name := strings.TrimPrefix(a.Code.Error(), "tls: ")
	if a.Sent {
		return "record: sent alert: " + name + ": " + a.Reason
	}
	return "record: peer sent alert: " + name
}

// Alerts of section 6 that this package sends or tells apart.
const (
	alertCloseNotify       = 0
	alertUnexpectedMessage = 10
	alertBadRecordMAC      = 20
	alertRecordOverflow    = 22
	alertIllegalParameter  = 47
	alertDecodeError       = 50
	alertInternalError     = 80
	alertUserCanceled      = 90

	levelWarning = 1
	levelFatal   = 2
)

// fault is why reading has ended, in a byte.
type fault uint8

const (
	noFault     fault = iota
	faultClosed       // the peer sent close_notify
	faultPeer         // the peer sent another alert
	faultOuterType
	faultTooLong
	faultUnauthentic
	faultPlainTooLong
	faultNoType
	faultInnerType
	faultUseless
	faultEmpty
	faultAlertLen
	faultInterleaved
	faultMessage
	faultMessageLen
	faultKeyUpdateValue
	faultKeyUpdateNotLast
	faultSequence
)

// alert is what to tell the peer, and why.
func (f fault) alert() (code uint8, reason string) {
	switch f {
	case faultOuterType:
		return alertUnexpectedMessage, "record is not application_data on the outside"
	case faultTooLong:
		return alertRecordOverflow, "record is longer than 2^14+256 bytes"
	case faultUnauthentic:
		return alertBadRecordMAC, "record does not decrypt"
	case faultPlainTooLong:
		return alertRecordOverflow, "plaintext is longer than 2^14 bytes"
	case faultNoType:
		return alertUnexpectedMessage, "record has no content type"
	case faultInnerType:
		return alertUnexpectedMessage, "content type is not known"
	case faultUseless:
		return alertUnexpectedMessage, "too many ignored records"
	case faultEmpty:
		return alertUnexpectedMessage, "alert or handshake record is empty"
	case faultAlertLen:
		return alertDecodeError, "alert is not two bytes"
	case faultInterleaved:
		return alertUnexpectedMessage, "another record inside a handshake message"
	case faultMessage:
		return alertUnexpectedMessage, "handshake message other than KeyUpdate"
	case faultMessageLen:
		return alertDecodeError, "KeyUpdate is not one byte"
	case faultKeyUpdateValue:
		return alertIllegalParameter, "KeyUpdate is neither 0 nor 1"
	case faultKeyUpdateNotLast:
		return alertUnexpectedMessage, "KeyUpdate does not end its record"
	}
	return alertInternalError, "sequence numbers are used up"
}

// err is the error of a State whose reading has ended, nil before.
func (s *State) err() error {
	switch s.fault {
	case noFault:
		return nil
	case faultClosed:
		return io.EOF
	case faultPeer:
		return &Alert{Code: tls.AlertError(s.peerAlert)}
	}
	code, reason := s.fault.alert()
	return &Alert{Code: tls.AlertError(code), Sent: true, Reason: reason}
}
