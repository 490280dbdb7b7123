// Package dotfiles puts the settings that a user keeps in a git repository into a
// home: it keeps a clone up to date and has a script of it do the rest, or links
// its dot files.
//
// Nothing of the user is ever deleted or overwritten, also not by a crash at any
// moment: a file that stands where a link goes gets a second name, .bak at the
// end, before the link takes the first. What a crash leaves is taken up by the
// next run.
package dotfiles
