// Package sshconfig writes the section of an OpenSSH configuration that leads
// ssh to workspaces, and touches nothing else of the file.
//
// The section is what two comment lines enclose, the markers:
//
//	# ------------START-CODER-----------
//	# This section is made by ...
//	#
//	# Last config-ssh options:
//	# :ssh-option=Compression=yes
//	#
//	Host coder.*
//		...
//	Host *.coder
//		...
//	# ------------END-CODER------------
//
// The lines "# :<key>=<value>" keep the options with which it was made, for the
// next time; editors read the ssh-options there. Markers and these lines are
// those of existing command lines, whose sections are taken over.
//
// Everything outside of the markers stays as it is, byte by byte, except that a
// last line that has no end gets one before a section that is new. The section
// has the line ends of the file, LF or CRLF.
//
// What a server says about the section comes from outside and is used only if
// it can neither run a command on this machine, nor lead other hosts astray, nor
// break the file: see FromServer.
package sshconfig
