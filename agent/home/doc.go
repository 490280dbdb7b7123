// Package home keeps declared paths of a user's home on a volume, while the home
// itself is thrown away with its container: each declared path becomes a link
// to its place on the volume.
//
//	~/.config/rtk ──► <volume>/.config/rtk                     scope owner
//	~/.cache/x    ──► <volume>/.workspaces/<id>/.cache/x       scope workspace
//	                  <volume>/.home-persist/lock
//	                                        /tmp/              copies not yet complete
//	                                        /backup/<scope>/<path>/<time>-<why>
//	                                        /state/<workspace>.json
//	~/.local/state/home-persist/links.json  links that are there, or were
//
// Which paths there are is said by manifests, JSON files that the tools of an
// image bring along:
//
//	{"version":1,"source":"rtk","scope":"owner","paths":[
//	  ".config/rtk/", "~/.rtkrc",
//	  {"path":".rtk","type":"dir","mode":"0700","seed":"copy","conflict":"volume"}]}
//
// Everything but paths may be missing, and in an object everything but path;
// the values above are then taken. A path that ends in a slash is a directory,
// else it is a file, unless type says so. Other values: scope "workspace", seed
// "none", conflict "merge". Other keys are warned of. Manifests count in the
// order of the bytes of their names, user.json last.
//
// The list of links, and what the volume knows of a workspace:
//
//	{"version":1,"links":[".config/rtk"]}
//	{"version":1,"applied":time,"paths":[{"path":".config/rtk","dir":true,
//	  "scope":"owner","source":"rtk","dropped":time}]}
//
// dropped is there when the path is not declared any more.
//
// # Guarantee
//
// Nothing is deleted or replaced unless its content is in its place on the
// volume or in a backup there, complete and written to disk. That holds when the
// process is killed at any moment, when the volume is full or can only be read,
// when two workspaces share one volume, and when programs go on writing: what
// is in the way is put aside in one step, compared with what was saved, and
// only then deleted. A path for which that cannot be done is left as it is, and
// the line that is logged says why. Backups are bounded, the oldest go first;
// the newest of each path stays whatever its size.
//
// Content is that of files and where links point; modes and times are copied,
// owners and extended attributes are not. Sockets, pipes and devices are not
// content.
//
// # Links of others
//
// Whoever can write to the home can plant links in it. Every directory is opened
// by its name in the directory above, one component at a time, with O_NOFOLLOW,
// and things are changed by their name in an open directory. A path that leads
// over a link is refused. os.Root was no choice because it follows links that
// stay inside, has no rename that spares what is there, and no exchange;
// openat2 because older sandboxes refuse it, and its RESOLVE_NO_SYMLINKS is what
// the walk does.
//
// Links beat bind mounts of single files: rename(2), by which many tools save,
// fails over a mount point with EBUSY, and replaces a link. Watch and Fold take
// such files back.
//
// Nothing here should be done as root, which would follow the links of a user
// with more rights than theirs; to refuse that is left to the caller.
package home
