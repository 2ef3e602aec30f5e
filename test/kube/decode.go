package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// kinds are the objects that a manifest may contain.
var kinds = map[string]func() any{
	"v1/ConfigMap":       func() any { return &corev1.ConfigMap{} },
	"v1/Service":         func() any { return &corev1.Service{} },
	"v1/ServiceAccount":  func() any { return &corev1.ServiceAccount{} },
	"batch/v1/Job":       func() any { return &batchv1.Job{} },
	"apps/v1/Deployment": func() any { return &appsv1.Deployment{} },
	"apps/v1/DaemonSet":  func() any { return &appsv1.DaemonSet{} },
}

// decode writes the objects of manifests as a JSON array. An unknown field is an error.
func decode(out io.Writer, files []string) error {
	objects := []any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			var kind metav1.TypeMeta
			if err := yaml.Unmarshal(document, &kind); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			name := kind.APIVersion + "/" + kind.Kind
			if kinds[name] == nil {
				return fmt.Errorf("%s: unknown kind %q", file, name)
			}
			object := kinds[name]()
			if err := yaml.UnmarshalStrict(document, object); err != nil {
				return fmt.Errorf("%s: %s: %w", file, name, err)
			}
			objects = append(objects, object)
		}
	}
	return json.NewEncoder(out).Encode(objects)
}
