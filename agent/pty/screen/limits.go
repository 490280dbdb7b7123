package screen

// What bounds the memory of a screen.
const (
	// maxCols, maxRows and maxCells bound the size. 65536 cells are a 4K display
	// in a small font; two screens of them take 2 MiB.
	maxCols, maxRows, maxCells = 1000, 500, 1 << 16

	// maxLines is the length of the scrollback in lines, maxHistory in bytes:
	// with 100 characters per line both are reached together.
	maxLines   = 10_000
	maxHistory = 1280 << 10

	// maxPackedLine bounds one line of the scrollback; links are dropped from a
	// line that is longer.
	maxPackedLine = 16 << 10

	// maxString bounds what is kept of a control string (title, link, ...), in
	// bytes; of longer ones nothing is.
	maxString = 32 << 10

	// maxTitle, maxURI and maxLinkID cut titles and drop links; 2083 is what
	// other terminals allow.
	maxTitle, maxURI, maxLinkID = 1024, 2083, 250

	// maxClusters and maxLooks bound the tables of combined characters and of
	// links and underline colours, maxLinkBytes the latter's text. When a table
	// is full of what is on the screen, marks and links are dropped.
	maxClusters, maxLooks = 8192, 4096
	maxLinkBytes          = 128 << 10

	// maxCluster is the number of bytes of one character with its marks.
	maxCluster = 64

	// maxTitles and maxKeyboards bound the stacks of titles and keyboard modes.
	maxTitles, maxKeyboards = 10, 16

	// maxRepeat bounds how often a character is repeated by one sequence.
	maxRepeat = 1 << 16

	// maxReflow is how many cells of one wrapped line are reflowed together.
	maxReflow = 1 << 16
)

// Clamp returns the size nearest to cols and rows that a screen can have.
func Clamp(cols, rows int) (int, int) {
	cols = min(max(cols, 2), maxCols) // a wide character needs two
	rows = min(max(rows, 1), maxRows, maxCells/cols)
	return cols, rows
}
