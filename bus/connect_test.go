package bus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"sluice/connect/natsconn"
	"sluice/event"
	"sluice/integration/freeport"
)

// serve runs a server as somebody else would, on a port.
func serve(tb testing.TB, change func(*server.Options)) string {
	tb.Helper()
	o := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: tb.TempDir(), SyncAlways: true,
	}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	check(tb, err)
	s.Start()
	tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		tb.Fatal("the server is not ready")
	}
	return s.ClientURL()
}

// far are options for a bus elsewhere that does not wait for long.
func far(url string) Options {
	return Options{URL: url, MaxBytes: 256 << 20, ObjectBytes: 64 << 20, LedgerBytes: 64 << 20, LetterBytes: 16 << 20, ConnectWithin: time.Second}
}

// works publishes and reads an event.
func works(t *testing.T, o Options) {
	t.Helper()
	b := open(t, o)
	check(t, b.Source("web").Publish(limited(t), sample("1")))
	equal(t, "ids", strings.Join(ids(t, b), " "), "1")
}

// refused opens a bus in vain, and checks what is said of it.
func refused(t *testing.T, o Options, want string) {
	t.Helper()
	b, err := Open(limited(t), o)
	if err == nil {
		shut(t, b)
		t.Fatal("it is opened")
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

const refusedLogin = "the servers refuse who sluice says to be (bus.auth, or the user in bus.url)"

func TestLogins(t *testing.T) {
	user, err := nkeys.CreateUser()
	check(t, err)
	public := must(user.PublicKey())(t)
	seed := string(must(user.Seed())(t))
	for name, test := range map[string]struct {
		server       func(*server.Options)
		right, wrong natsconn.Login
	}{
		"user":  {func(o *server.Options) { o.Username, o.Password = "u", "p" }, natsconn.Login{User: "u", Password: "p"}, natsconn.Login{User: "u", Password: "x"}},
		"token": {func(o *server.Options) { o.Authorization = "t0ken" }, natsconn.Login{Token: "t0ken"}, natsconn.Login{}},
		"nkey": {
			func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} },
			natsconn.Login{Seed: seed + "\n"},
			natsconn.Login{Seed: string(must(must(nkeys.CreateUser())(t).Seed())(t))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := far(serve(t, test.server))
			o.Login = test.wrong
			refused(t, o, refusedLogin)
			o.Login = test.right
			works(t, o)
		})
	}
}

func TestLoginByCredentials(t *testing.T) {
	operator, account, user := must(nkeys.CreateOperator())(t), must(nkeys.CreateAccount())(t), must(nkeys.CreateUser())(t)
	claims := jwt.NewAccountClaims(must(account.PublicKey())(t))
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accountToken := must(claims.Encode(operator))(t)
	userToken := must(jwt.NewUserClaims(must(user.PublicKey())(t)).Encode(account))(t)
	creds := must(jwt.FormatUserConfig(userToken, must(user.Seed())(t)))(t)
	o := far(serve(t, func(o *server.Options) {
		o.TrustedKeys = []string{must(operator.PublicKey())(t)}
		resolver := &server.MemAccResolver{}
		check(t, resolver.Store(must(account.PublicKey())(t), accountToken))
		o.SystemAccount = must(must(nkeys.CreateAccount())(t).PublicKey())(t)
		check(t, resolver.Store(o.SystemAccount, must(jwt.NewAccountClaims(o.SystemAccount).Encode(operator))(t)))
		o.AccountResolver = resolver
	}))
	refused(t, o, refusedLogin)
	o.Login = natsconn.Login{Credentials: string(creds)}
	works(t, o)
}

func TestTLSToTheServers(t *testing.T) {
	certificate, pool := selfSigned(t)
	url := serve(t, func(o *server.Options) {
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	})
	o := far(url)
	refused(t, o, "no TLS with the servers (bus.tls): nats: tls error: tls: failed to verify certificate: x509: certificate signed by unknown authority")
	o.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	works(t, o)
	o = far(strings.Replace(serve(t, nil), "nats://", "tls://", 1))
	refused(t, o, "the servers and bus.url do not agree on TLS")
}

// selfSigned returns a certificate for 127.0.0.1 and who trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))(t)
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(der))(t))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestServersThatCannotDoIt(t *testing.T) {
	for name, test := range map[string]struct {
		server func(*server.Options)
		change func(*Options)
		want   string
	}{
		"no JetStream": {func(o *server.Options) { o.JetStream = false }, nil, "the servers at bus.url have no JetStream: enable it with a jetstream block"},
		"no cluster":   {nil, func(o *Options) { o.Replicas = 3 }, "bus.replicas is 3, and these servers are no cluster"},
		"small messages": {
			func(o *server.Options) { o.MaxPayload = 1 << 19 }, nil,
			"takes messages of at most 524288 bytes, and sluice needs 1048576, which is their default: raise max_payload there",
		},
		"little space": {
			func(o *server.Options) { o.JetStreamMaxStore = 100 << 20 }, nil,
			"sluice reserves 486539264 bytes on 1 servers: look at bus.max_bytes and bus.max_large, and the limits of the servers and the account",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := far(serve(t, test.server))
			if test.change != nil {
				test.change(&o)
			}
			refused(t, o, test.want)
		})
	}
}

// A server of an older release says its level itself.
func TestOldServer(t *testing.T) {
	url := serve(t, func(o *server.Options) { o.JetStream = false })
	conn := must(nats.Connect(url))(t)
	defer conn.Close()
	_, err := conn.Subscribe("$JS.API.INFO", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"type":"io.nats.jetstream.api.v1.account_info_response","limits":{},"api":{"level":1,"total":0,"errors":0}}`))
	})
	check(t, errors.Join(err, conn.Flush()))
	refused(t, far(url), "is too old: it has level 1 of the JetStream API, and sluice needs 2 for atomic batches, and for expectations in them: use 2.12 or later")
}

// A server that comes a little later is waited for, and one that never comes is
// given up.
func TestServerThatIsNotThereYet(t *testing.T) {
	port := freeport.Port(t)
	o := far(fmt.Sprintf("nats://127.0.0.1:%d", port))
	began := time.Now()
	_, err := Open(t.Context(), o)
	if !errors.Is(err, event.ErrUnavailable) || time.Since(began) < o.ConnectWithin/2 {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
	o.ConnectWithin = time.Minute
	opened := make(chan error, 1)
	go func() {
		b, err := Open(limited(t), o)
		if err == nil {
			err = b.Close(limited(t))
		}
		opened <- err
	}()
	serve(t, func(o *server.Options) { o.Port = port })
	check(t, <-opened)
}
