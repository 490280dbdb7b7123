package wire

import (
	"strings"

	"storj.io/drpc/drpcerr"
)

// Unimplemented reports whether err says that the other side does not know
// the method: an older server or agent.
func Unimplemented(err error) bool {
	if err == nil {
		return false
	}
	return drpcerr.Code(err) == drpcerr.Unimplemented || strings.Contains(err.Error(), "unknown rpc: ")
}
