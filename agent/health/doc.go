// Package health finds out again and again how a workspace is: what the
// scripts of its template's metadata print, and whether its apps answer.
//
// Metadata runs each script on its interval, one run of it at a time, and no
// script waits for another that hangs: only their starts keep a small distance.
// A run is a process group that ends with its script, or when its time is over;
// what a script leaves behind in the group ends too.
//
// Apps asks each app by HTTP, on its interval. Any answer below status 500 is
// one of a healthy app, a redirect too, which is not followed:
//
//	initializing ──answer──► healthy ◄──answer──┐
//	     │                      │               │
//	     └── more failures in a row than the ───┴──► unhealthy
//	         threshold
//
// Both tell what they know by Report, which a session with the server calls: it
// begins with all that is known and goes on with changes, one call at a time.
// How it travels is left to the caller.
package health
