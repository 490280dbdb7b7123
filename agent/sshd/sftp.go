//go:build linux

package sshd

import (
	"github.com/berthdev/berth/agent/sshd/sftp"
)

// startSFTP serves files to the client. The files are opened by this process,
// which runs as the user anyway; it ends with exit status 0 as sftp-server
// does, unless the client broke the protocol.
func (s *session) startSFTP() {
	srv := s.conn.srv
	acc := ownAccount(s.ctx)
	login := s.login()
	home := homeOf(environment(srv.environ(), s.env, acc, login.Env, nil), acc)
	s.copiers.Go(func() {
		how, reason := ending{}, ""
		if err := sftp.Serve(s.ch, sftp.Config{Dir: firstDir(login.Dir, home), Home: home}); err != nil {
			srv.log.DebugContext(s.ctx, "sftp session ended", "error", clip(err.Error()))
			how, reason = ending{code: 1}, clip(err.Error())
		}
		s.exit(how, reason)
		s.closeChannel()
	})
}
