package main

import "os"

// waySkip is how the user goes on without start scripts.
const waySkip = "Another run with --no-wait"

// lineTyped waits for nothing here: the console cannot be asked without taking
// what is typed.
func lineTyped(*os.File) (typed <-chan struct{}, stop func()) { return nil, func() {} }
