// Package bundle writes what a maintainer needs to see of a fault into one zip
// file that holds no secrets.
//
// Everything that goes into a Writer is redacted first: values that a Redactor
// was told of, in each form in which they are written down, and what looks like
// a secret by its name or shape. That is a net and no proof: a value that nobody
// named and that has no shape stays, which is why the user is told to look.
//
// The file has its name only when it is whole; before that, and after a crash,
// it has another one.
package bundle
