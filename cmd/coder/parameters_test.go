package main

import (
	"slices"
	"testing"

	"github.com/berthdev/berth/server/api"
)

func TestParametersThatAreCopied(t *testing.T) {
	had := []api.BuildParameter{{Name: "region", Value: "eu"}, {Name: "once", Value: "yes"}, {Name: "gone", Value: "1"}}
	wanted := []api.TemplateParameter{{Name: "region"}, {Name: "once", Ephemeral: true}, {Name: "size"}}
	if got, want := lasting(had, wanted), had[:1]; !slices.Equal(got, want) {
		t.Errorf("lasting(%v, %v) = %v, want %v", had, wanted, got, want)
	}
}
