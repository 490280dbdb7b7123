//go:build !slim

package main

import _ "time/tzdata" // schedules have time zones, and images of servers may have none

// slim reports whether this build lacks the server.
const slim = false
