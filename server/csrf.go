package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/server/api"
)

// checkCSRF keeps pages of other sites from making changes with the session
// cookie that a browser sends along. A change passes when its session is not in
// the cookie, when it also proves to know the token, or when the browser says
// that a page of this server made it.
func checkCSRF(r *http.Request, accessHost string) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || !usesCookie(r) || knowsCookie(r) || sameOrigin(r, accessHost) {
		return nil
	}
	return refuse(http.StatusBadRequest, "This request may come from another site.",
		"Repeat the session token of the cookie in the header "+api.HeaderToken+".")
}

// knowsCookie reports whether the token of the cookie is there a second time.
func knowsCookie(r *http.Request) bool {
	c, err := r.Cookie(api.CookieToken)
	return err == nil && (r.Header.Get(api.HeaderToken) == c.Value || r.URL.Query().Get(api.CookieToken) == c.Value)
}

// sameOrigin reports whether the browser says that the request comes from a
// page of this server. Pages cannot set these headers.
func sameOrigin(r *http.Request, accessHost string) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Host != "" && (strings.EqualFold(u.Host, r.Host) || strings.EqualFold(u.Host, accessHost))
}
