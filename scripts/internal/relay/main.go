// Command relay is what scripts/bench compares the proxy with: a relay from a Unix
// socket to a Postgres server over TLS, with two goroutines a connection and
// nothing else.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: relay SOCKET HOST:PORT ROOT-CERTIFICATE")
	}
	roots := x509.NewCertPool()
	if pem, err := os.ReadFile(os.Args[3]); err != nil || !roots.AppendCertsFromPEM(pem) {
		log.Fatalf("reading %s: %v", os.Args[3], err)
	}
	host, _, err := net.SplitHostPort(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go relay(client, os.Args[2], &tls.Config{RootCAs: roots, ServerName: host})
	}
}

// relay copies between client and a TLS connection to addr until either side ends.
func relay(client net.Conn, addr string, conf *tls.Config) {
	defer client.Close()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		log.Print(err)
		return
	}
	defer conn.Close()
	// SSLRequest (PostgreSQL manual, "Message Formats"); the server answers S.
	answer := make([]byte, 1)
	if _, err = conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err != nil || answer[0] != 'S' {
		log.Printf("SSLRequest: %q, %v", answer, err)
		return
	}
	server := tls.Client(conn, conf)
	go func() {
		_, _ = io.Copy(server, client)
		_ = conn.Close()
	}()
	_, _ = io.Copy(client, server)
}
