package tlsalpn01

import (
	"errors"
	"time"

	"github.com/go-acme/lego/v5/challenge"
)

const ACMETLS1Protocol = "acme-tls/1"

func ChallengeBlocks(string, string) ([]byte, []byte, error) { return nil, nil, errors.ErrUnsupported }

func SetDelay(time.Duration) challenge.Option { return challenge.Option{} }
