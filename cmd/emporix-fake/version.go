package main

import (
	_ "embed" // of the sample
	"runtime/debug"
)

//go:embed sample-seed.json
var sampleSeed string

// version is that of the module, or of the commit in a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return "checkout of " + setting.Value
			}
		}
		return "checkout"
	}
	return version
}
