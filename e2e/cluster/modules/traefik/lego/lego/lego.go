// Package lego, with those beside it, stands in for Traefik's ACME library, which brings the clients of hundreds of name
// servers: most of the build, and not every module proxy has it. The gateway of tests has no certificates to ask for.
package lego

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/registration"
)

const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

type Config struct {
	CADirURL    string
	UserAgent   string
	HTTPClient  *http.Client
	Certificate struct{ Timeout time.Duration }
}

type Client struct {
	Challenge    challenges
	Registration registrations
	Certificate  certificates
}

type (
	challenges    struct{}
	registrations struct{}
	certificates  struct{}
)

func NewConfig(any) *Config { return &Config{} }

func NewClient(*Config) (*Client, error) { return nil, errors.ErrUnsupported }

func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, errors.ErrUnsupported }

func (challenges) SetDNS01Provider(challenge.Provider, ...challenge.Option) error {
	return errors.ErrUnsupported
}

func (challenges) SetHTTP01Provider(challenge.Provider, ...challenge.Option) error {
	return errors.ErrUnsupported
}

func (challenges) SetTLSALPN01Provider(challenge.Provider, ...challenge.Option) error {
	return errors.ErrUnsupported
}

func (registrations) Register(context.Context, registration.RegisterOptions) (*acme.ExtendedAccount, error) {
	return nil, errors.ErrUnsupported
}

func (registrations) RegisterWithExternalAccountBinding(
	context.Context, registration.RegisterEABOptions,
) (*acme.ExtendedAccount, error) {
	return nil, errors.ErrUnsupported
}

func (certificates) Obtain(context.Context, certificate.ObtainRequest) (*certificate.Resource, error) {
	return nil, errors.ErrUnsupported
}

func (certificates) Renew(
	context.Context, certificate.Resource, *certificate.RenewOptions,
) (*certificate.Resource, error) {
	return nil, errors.ErrUnsupported
}
