// Command kube makes one request with client-go, as any program that reads a
// kubeconfig does: exec plugins included. It prints the reply's body. Or it decodes
// manifests into the types of k8s.io/api, strictly, and prints them as JSON.
//
//	KUBECONFIG=FILE kube PATH
//	kube decode FILE...
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	var err error
	if os.Args[1] == "decode" {
		err = decode(os.Stdout, os.Args[2:])
	} else {
		err = get(os.Stdout, os.Args[1], os.Getenv("KUBECONFIG"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// get writes the reply to a GET of path.
func get(out io.Writer, path, kubeconfig string) error {
	conf, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	conf.NegotiatedSerializer = scheme.Codecs
	client, err := rest.UnversionedRESTClientFor(conf)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	body, err := client.Get().AbsPath(path).DoRaw(ctx)
	if err != nil {
		return err
	}
	_, err = out.Write(body)
	return err
}

// decode writes the objects of manifests as a JSON array. An unknown field is an error.
func decode(out io.Writer, files []string) error {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	objects := []runtime.Object{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			object, _, err := decoder.Decode(document, nil, nil)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			objects = append(objects, object)
		}
	}
	return json.NewEncoder(out).Encode(objects)
}
