package docker

import "context"

// Look asks once what Run would tell of.
func Look(ctx context.Context, o Options) ([]Container, error) {
	a, err := New(o)
	if err != nil {
		return nil, err
	}
	defer a.engine.close()
	if err := a.engine.negotiate(ctx); err != nil {
		return nil, err
	}
	stream, err := a.engine.events(ctx) // which a proxy may not let pass
	if err != nil {
		return nil, err
	}
	stream.close()
	ids, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := a.looked(a.look(ctx, id)); err != nil {
			return nil, err
		}
	}
	return a.containers(), nil
}
