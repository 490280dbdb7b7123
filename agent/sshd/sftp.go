//go:build linux

package sshd

import (
	"github.com/pkg/sftp"
)

// startSFTP serves files to the client, starting in the home directory. The
// files are opened by this process, which runs as the user anyway.
func (s *session) startSFTP() {
	srv := s.conn.srv
	acc := ownAccount(s.ctx)
	env := environment(srv.environ(), s.env, acc, s.login().Env, nil)
	files, err := sftp.NewServer(s.ch, sftp.WithServerWorkingDirectory(homeOf(env, acc)))
	if err != nil {
		s.refuse(err)
		return
	}
	s.copiers.Go(func() {
		code := 0
		if err := files.Serve(); err != nil {
			srv.log.DebugContext(s.ctx, "sftp session ended", "error", clip(err.Error()))
			code = 1
		}
		s.sendExit(exitCode(code))
		s.closeChannel()
	})
}
