// A terminal to compare with: reads one JSON object per line,
//
//	{"cols":80,"rows":24,"steps":[{"data":"base64"},{"cols":100,"rows":30}]}
//
// and answers each with one line that says all there is to say of the state that
// an xterm.js terminal of that size is in after the steps. The forms of lines
// and looks are those of dump_test.go. {"widths":true} asks for the widths of
// all characters.
'use strict';
const {Terminal} = require('@xterm/headless');
const {Unicode11Addon} = require('@xterm/addon-unicode11');

function open(cols, rows) {
  const term = new Terminal({
    cols, rows, scrollback: 10000, allowProposedApi: true, logLevel: 'off',
    windowOptions: {pushTitle: true, popTitle: true},
  });
  term.loadAddon(new Unicode11Addon());
  term.unicode.activeVersion = '11';
  rememberLinks(term._core._oscLinkService);
  return term;
}

// xterm.js forgets a link when the lines it was on are gone, though the pen may
// still draw it.
function rememberLinks(service) {
  const known = new Map(), register = service.registerLink.bind(service);
  service.registerLink = (data) => {
    const id = register(data);
    known.set(id, data);
    return id;
  };
  service.getLinkData = (id) => known.get(id);
}

// Which table a character set is cannot be seen, so it is tried out.
function charset(c) {
  if (!c) return 'B';
  return c['`'] ? '0' : c['#'] && Object.keys(c).length === 1 ? 'A' : 'B';
}

const flagsFg = [['i', 0x4000000], ['b', 0x8000000], ['k', 0x20000000], ['c', 0x40000000], ['s', 0x80000000]];
const flagsBg = [['t', 0x4000000], ['f', 0x8000000], ['p', 0x20000000], ['o', 0x40000000]];

// Of a colour from the palette the bits of an RGB colour before it stay.
function color(c) {
  return ((c & 0x3000000) === 0x3000000 ? c & 0x3ffffff : c & 0x30000ff).toString(16);
}

function look(fg, bg, ext, links) {
  let out = color(fg) + '/' + color(bg) + '/';
  for (const [name, bit] of flagsFg) if ((fg & bit) !== 0) out += name;
  for (const [name, bit] of flagsBg) if ((bg & bit) !== 0) out += name;
  const extended = (bg & 0x10000000) !== 0 && ext;
  const style = (extended && (ext._ext >>> 26) & 7) // what the getter says of a link is only how it is drawn
    || ((fg & 0x10000000) !== 0 ? 1 : 0);
  if (style) out += 'u' + style;
  if (extended) {
    const line = color(ext.underlineColor);
    if (line !== '0' && line !== '3ffffff') out += 'U' + line;
    const link = ext.urlId && links.getLinkData(ext.urlId);
    if (link) out += 'L' + (link.id && !link.id.startsWith('berth-') ? link.id : '') + '|' + link.uri;
  }
  return out;
}

const plain = '0/0/';

function line(l, links) {
  let out = '', kept = 0, now = plain;
  for (let x = 0; x < l.length; x++) {
    const at = look(l.getFg(x), l.getBg(x), l._extendedAttrs[x], links);
    if (at !== now) out += '\x01' + (now = at) + '\x02';
    const text = l.getString(x), width = l.getWidth(x);
    if (text === '') {
      out += width ? '\x00' : '\x03';
    } else {
      out += width === 0 ? '\x04' : width === 2 ? '\x05' : '';
      out += text;
      if ([...text].length > 1) out += '\x06';
    }
    if (text !== '' || width !== 1 || at !== plain) kept = out.length;
  }
  return (l.isWrapped ? '+' : ' ') + out.slice(0, kept);
}

function lines(b, links) {
  const out = [];
  for (let y = 0; y < b.lines.length; y++) out.push(line(b.lines.get(y), links));
  return out;
}

function buffer(b, cols, rows, links) {
  const tabs = [];
  for (let x = 0; x < cols; x++) if (b.tabs[x]) tabs.push(x);
  const saved = b.savedCurAttrData;
  return {
    lines: lines(b, links), base: b.ybase, top: b.scrollTop, bottom: b.scrollBottom, tabs,
    savedX: Math.min(b.savedX, cols - 1), savedY: Math.min(Math.max(b.savedY - b.ybase, 0), rows - 1),
    savedPen: look(saved.fg & ~0x10000000, saved.bg, null), savedCharset: charset(b.savedCharset),
  };
}

function dump(term) {
  const core = term._core, input = core._inputHandler, set = core._bufferService.buffers;
  const links = core._oscLinkService, b = set.active, modes = core.coreService.decPrivateModes;
  const pen = input._curAttrData, chars = core._charsetService, mouse = core.coreMouseService;
  const saved = {};
  for (const k of Object.keys(modes)) saved[k] = modes[k] === undefined ? null : modes[k];
  return {
    cols: core.cols, rows: core.rows, alt: b === set.alt, x: b.x, y: b.y,
    main: buffer(set.normal, core.cols, core.rows, links),
    other: b === set.alt ? buffer(set.alt, core.cols, core.rows, links) : null,
    pen: look(pen.fg, pen.bg, pen.extended, links),
    join: (input._parser.precedingJoinState >> 1) & 3,
    charsets: [0, 1, 2, 3].map((g) => charset(chars._charsets[g])).join(''), level: chars.glevel, active: charset(chars.charset),
    appCursor: modes.applicationCursorKeys, keypad: modes.applicationKeypad, paste: modes.bracketedPasteMode,
    origin: modes.origin, wrap: modes.wraparound, reverseWrap: modes.reverseWraparound, focus: modes.sendFocus,
    synchronized: modes.synchronizedOutput, cursorStyle: (modes.cursorStyle || '') + (modes.cursorBlink ? '!' : ''),
    insert: core.coreService.modes.insertMode, newline: !!term.options.convertEol, blink: !!term.options.cursorBlink,
    hidden: core.coreService.isCursorHidden, mouse: mouse.activeProtocol, encoding: mouse.activeEncoding,
    title: input._windowTitle, icon: input._iconName, titles: input._windowTitleStack, icons: input._iconNameStack,
  };
}

function widths(term) {
  let out = '';
  for (let c = 0xa0; c < 0x110000; c++) out += term._core.unicodeService.wcwidth(c);
  return out;
}

function answer(request) {
  if (request.widths) return widths(open(80, 24));
  const term = open(request.cols, request.rows);
  for (const step of request.steps) {
    if (step.cols) {
      term.resize(step.cols, step.rows);
    } else if (step.data) {
      term._core.writeSync(Buffer.from(step.data, 'base64'));
    }
  }
  const out = dump(term);
  term.dispose();
  return out;
}

async function main() {
  for await (const request of require('readline').createInterface({input: process.stdin, crlfDelay: Infinity})) {
    process.stdout.write(JSON.stringify(answer(JSON.parse(request))) + '\n');
  }
}

main();
