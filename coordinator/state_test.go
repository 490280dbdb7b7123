package coordinator

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go4.org/mem"
	"google.golang.org/protobuf/types/known/timestamppb"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/tailnet/proto"
)

// Peers in tests are named by a letter: a, b are agents, s a server, all
// others clients.
func testID(name string) uuid.UUID {
	id := uuid.UUID{}
	for i := range id {
		id[i] = name[0]
	}
	return id
}

func testRole(name string) Role {
	switch name {
	case "a", "b":
		return Agent
	case "s":
		return Server
	}
	return Client
}

func testKey(name string) key.NodePublic {
	var raw [32]byte
	copy(raw[:], name)
	return key.NodePublicFromRaw32(mem.B(raw[:]))
}

// testNode is the record of a peer, with a key by the name keyName.
func testNode(name, keyName string) *proto.Node {
	k, err := testKey(keyName).MarshalBinary()
	if err != nil {
		panic(err)
	}
	addr := netip.PrefixFrom(AgentAddresses(testID(name))[1], 128).String()
	return &proto.Node{
		Id: NodeID(testID(name)), Key: k, Disco: "discokey:" + strings.Repeat("5a", 32), PreferredDerp: 999,
		Addresses: []string{addr}, AllowedIps: []string{addr}, Endpoints: []string{"192.0.2.1:41641"},
	}
}

// world drives a core with one line per event and reads what is told as lines
// like "c: NODE a".
type world struct {
	t     *testing.T
	s     *state
	now   time.Time
	conns map[string]Conn
}

func newWorld(t *testing.T) *world {
	return &world{t: t, s: newState(uuid.UUID{1}), now: time.Unix(1e9, 0), conns: map[string]Conn{}}
}

// do runs one event: "c connect", "c update", "c update KEY", "c add a",
// "c remove a", "a ready c", "c disconnect", "c lost", "u expel", "wait 15m". Clients
// are those of user u.
func (w *world) do(line string) (told []string, err error) {
	w.t.Helper()
	f := append(strings.Fields(line), "")
	if f[0] == "wait" {
		d, err := time.ParseDuration(f[1])
		if err != nil {
			w.t.Fatal(err)
		}
		w.now = w.now.Add(d)
		w.s.expire(w.now)
		return nil, nil
	}
	ev := Event{Peer: testID(f[0]), Conn: w.conns[f[0]]}
	switch f[1] {
	case "connect":
		ev.Kind, ev.Role = Connect, testRole(f[0])
		if ev.Role == Client {
			ev.Owner = testID("u")
		}
		ev.Conn = Conn{Replica: w.s.replica, Began: w.conns[f[0]].Began + 1}
		w.conns[f[0]] = ev.Conn
	case "update":
		keyName := f[2]
		if keyName == "" {
			keyName = f[0]
		}
		ev.Kind, ev.Node = Update, testNode(f[0], keyName)
	case "homeless":
		ev.Kind, ev.Node = Update, testNode(f[0], f[0])
		ev.Node.PreferredDerp = 0
	case "disconnect":
		ev.Kind = Disconnect
	case "expel":
		ev.Kind, ev.Owner = Expel, testID(f[0])
	case "lost":
		ev.Kind = Lost
	case "add", "remove", "ready":
		ev.Kind = map[string]Kind{"add": AddTunnel, "remove": RemoveTunnel, "ready": Ready}[f[1]]
		ev.Dst = testID(f[2])
	default:
		w.t.Fatalf("no such event: %q", line)
	}
	fx, err := w.s.apply(ev, w.now)
	return w.read(fx), err
}

func (w *world) read(fx effects) (told []string) {
	for _, n := range fx.notes {
		what := "ERROR"
		if n.update != nil {
			what = fmt.Sprintf("%s %c", n.update.Kind, n.update.Id[0])
			if (n.update.Node != nil) != (n.update.Kind == proto.CoordinateResponse_PeerUpdate_NODE) {
				w.t.Errorf("update %s carries node %v", what, n.update.Node)
			}
		}
		told = append(told, fmt.Sprintf("%c: %s", n.to[0], what))
	}
	for _, k := range fx.kicks {
		told = append(told, fmt.Sprintf("%c kicked: %v", k.peer[0], k.cause))
	}
	slices.Sort(told)
	return told
}

func TestCoreTellsWhatTheTablesSay(t *testing.T) {
	met := []string{"a connect", "a update", "c connect", "c update", "c add a"}
	for name, tt := range map[string]struct {
		setup []string
		event string
		want  []string
	}{
		"update reaches tunnel source":       {[]string{"a connect", "c connect", "c add a"}, "a update", []string{"c: NODE a"}},
		"update reaches tunnel destination":  {[]string{"a connect", "c connect", "c add a"}, "c update", []string{"a: NODE c"}},
		"update reaches nobody else":         {[]string{"a connect", "c connect", "d connect", "d update"}, "c update", nil},
		"equal update is suppressed":         {met, "a update", nil},
		"new key is told":                    {met, "a update fresh", []string{"c: NODE a"}},
		"update without a home is not told":  {[]string{"a connect", "c connect", "c add a"}, "a homeless", nil},
		"tunnel tells both":                  {[]string{"a connect", "a update", "c connect", "c update"}, "c add a", []string{"a: NODE c", "c: NODE a"}},
		"tunnel to absent is stored":         {[]string{"c connect", "c update"}, "c add a", nil},
		"tunnel before own record":           {[]string{"a connect", "a update", "c connect"}, "c add a", []string{"c: NODE a"}},
		"tunnel twice":                       {met, "c add a", nil},
		"tunnel to a lost peer":              {[]string{"a connect", "a update", "a lost", "c connect", "c update"}, "c add a", nil},
		"remove tells both":                  {met, "c remove a", []string{"a: DISCONNECTED c", "c: DISCONNECTED a"}},
		"remove of none":                     {met, "c remove b", nil},
		"remove tells only who knew":         {[]string{"a connect", "c connect", "c update", "c add a"}, "c remove a", []string{"a: DISCONNECTED c"}},
		"remove one of two directions":       {[]string{"s connect", "s update", "c connect", "c update", "c add s", "s add c"}, "s remove c", nil},
		"disconnect of a client":             {met, "c disconnect", []string{"a: DISCONNECTED c"}},
		"disconnect of an agent":             {met, "a disconnect", []string{"c: DISCONNECTED a"}},
		"disconnect tells only who knew":     {[]string{"a connect", "c connect", "c add a"}, "a disconnect", nil},
		"loss of a client":                   {met, "c lost", []string{"a: LOST c"}},
		"loss of an agent":                   {met, "a lost", []string{"c: LOST a"}},
		"loss tells only who knew":           {[]string{"a connect", "c connect", "c add a"}, "a lost", nil},
		"agent returns to its clients":       {append(met, "a lost"), "a connect", []string{"a: NODE c"}},
		"returned agent's record clears":     {append(met, "a lost", "a connect"), "a update", []string{"c: NODE a"}},
		"client lost its own tunnels":        {append(met, "c lost"), "c connect", nil},
		"client lost, record alone is quiet": {append(met, "c lost", "c connect"), "c update", nil},
		"client returns":                     {append(met, "c lost", "c connect", "c update"), "c add a", []string{"a: NODE c", "c: NODE a"}},
		"same id again tells no loss":        {met, "a connect", []string{"a kicked: " + ErrReplaced.Error(), "a: NODE c"}},
		"same id again keeps tunnels":        {append(met, "c connect"), "c update", nil},
		"same id again, new key":             {append(met, "c connect"), "c update fresh", []string{"a: NODE c"}},
		"ready through a tunnel":             {met, "a ready c", []string{"c: READY_FOR_HANDSHAKE a"}},
		"ready twice":                        {append(met, "a ready c"), "a ready c", []string{"c: READY_FOR_HANDSHAKE a"}},
		"ready without tunnel":               {append(met, "d connect"), "a ready d", []string{"a: ERROR"}},
		"ready to a peer that left":          {append(met, "c disconnect"), "a ready c", []string{"a: ERROR"}},
		"ready to a lost client":             {append(met, "c lost"), "a ready c", []string{"a: ERROR"}},
		"goodbye after a loss":               {append(met, "c lost", "c connect"), "c disconnect", []string{"a: DISCONNECTED c"}},
		"loss twice without a new record":    {append(met, "a lost", "a connect"), "a lost", nil},
		"new id with the lost one's key":     {append(met, "c lost", "d connect"), "d update", nil},
		"expelled while connected":           {met, "u expel", []string{"a: DISCONNECTED c", "c kicked: " + ErrExpelled.Error()}},
		"expelled while lost":                {append(met, "c lost"), "u expel", []string{"a: DISCONNECTED c"}},
		"expelled, agent came back since":    {append(met, "c lost", "a connect"), "u expel", []string{"a: DISCONNECTED c"}},
		"expelled while the agent is lost":   {append(met, "a lost", "u expel"), "a connect", []string{"a: DISCONNECTED c"}},
		"another user is expelled":           {met, "v expel", nil},
		"expelled peer has no tunnels left":  {append(met, "u expel"), "c add a", nil},
		"expelled peer's end tells nothing":  {append(met, "u expel"), "c lost", nil},
		"nobody remembers after the grace":   {append(met, "c lost", "wait 15m", "c connect"), "c disconnect", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, line := range tt.setup {
				if _, err := w.do(line); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
			got, err := w.do(tt.event)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("after %v, %q told %q, %v, want %q", tt.setup, tt.event, got, err, tt.want)
			}
		})
	}
}

func (w *world) all(lines ...string) (told []string) {
	w.t.Helper()
	for _, line := range lines {
		got, err := w.do(line)
		if err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		told = got
	}
	return told
}

func TestSuppressionIgnoresTheTimeOfARecord(t *testing.T) {
	w := newWorld(t)
	w.all("a connect", "a update", "c connect", "c add a")
	node := testNode("a", "a")
	node.AsOf = timestamppb.New(w.now)
	fx, err := w.s.apply(Event{Kind: Update, Peer: testID("a"), Conn: w.conns["a"], Node: node}, w.now)
	if err != nil || len(fx.notes) != 0 {
		t.Errorf("update with a new time only told %v, %v, want nothing", w.read(fx), err)
	}
}

func TestEventsOfAnOldConnectionAreIgnored(t *testing.T) {
	w := newWorld(t)
	w.all("a connect", "a update", "c connect", "c update", "c add a")
	old := w.conns["c"]
	w.all("c connect")
	for _, kind := range []Kind{Update, AddTunnel, RemoveTunnel, Ready, Disconnect, Lost} {
		ev := Event{Kind: kind, Peer: testID("c"), Conn: old, Dst: testID("a"), Node: testNode("c", "old")}
		if fx, err := w.s.apply(ev, w.now); err != nil || len(fx.notes)+len(fx.kicks) > 0 {
			t.Errorf("event kind %d of the old connection told %v, %v, want nothing", kind, w.read(fx), err)
		}
	}
	ev := Event{Kind: Connect, Peer: testID("c"), Conn: Conn{Replica: w.s.replica, Began: old.Began - 1}, Role: Client}
	fx, _ := w.s.apply(ev, w.now)
	if got, want := w.read(fx), []string{"c kicked: " + ErrReplaced.Error()}; !slices.Equal(got, want) {
		t.Errorf("connection older than the current told %q, want %q", got, want)
	}
}

func TestClaims(t *testing.T) {
	// take makes d claim the key and the address of c.
	take := func(w *world, keyOf, addrOf string) ([]string, error) {
		node := testNode(addrOf, keyOf)
		fx, err := w.s.apply(Event{Kind: Update, Peer: testID("d"), Conn: w.conns["d"], Node: node}, w.now)
		return w.read(fx), err
	}
	met := []string{"a connect", "a update", "c connect", "c update", "c add a", "d connect", "d add a"}
	for name, tt := range map[string]struct {
		setup        []string
		key, addr    string
		wantErr      error
		want         []string
		ownerOfCsKey string
	}{
		"key of a connected peer":     {met, "c", "d", ErrTaken, nil, "c"},
		"address of a connected peer": {met, "d", "c", ErrTaken, nil, "c"},
		"both of a connected peer":    {met, "c", "c", ErrTaken, nil, "c"},
		"key of a lost peer":          {append(met, "c lost"), "c", "d", ErrTaken, nil, "c"},
		"address of a lost peer":      {append(met, "c lost"), "d", "c", ErrTaken, nil, "c"},
		"the lost node itself":        {append(met, "c lost"), "c", "c", nil, []string{"a: NODE d"}, "d"},
		"after the grace":             {append(met, "c lost", "wait 15m"), "d", "c", nil, []string{"a: NODE d"}, ""},
		"after goodbye":               {append(met, "c disconnect"), "c", "d", nil, []string{"a: NODE d"}, "d"},
		"after a change of key":       {append(met, "c update fresh"), "c", "d", nil, []string{"a: NODE d"}, "d"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.all(tt.setup...)
			got, err := take(w, tt.key, tt.addr)
			if err != tt.wantErr || !slices.Equal(got, tt.want) {
				t.Errorf("claim of key %s, address %s told %q, %v, want %q, %v", tt.key, tt.addr, got, err, tt.want, tt.wantErr)
			}
			var want uuid.UUID
			if tt.ownerOfCsKey != "" {
				want = testID(tt.ownerOfCsKey)
			}
			if got := w.s.owner(testKey("c")); got != want {
				t.Errorf("owner of c's key = %s, want %s", got, want)
			}
		})
	}
}

func TestAgentsAddressCannotBeSquatted(t *testing.T) {
	w := newWorld(t)
	w.all("b connect", "d connect", "d add b")
	squat := testNode("a", "d") // the address of agent a, not connected yet
	if _, err := w.s.apply(Event{Kind: Update, Peer: testID("d"), Conn: w.conns["d"], Node: squat}, w.now); err != nil {
		t.Fatal(err)
	}
	got := w.all("a connect", "a update")
	if want := []string{"b: DISCONNECTED d", "d kicked: " + ErrTaken.Error()}; !slices.Equal(got, want) {
		t.Errorf("agent's update told %q, want %q", got, want)
	}
}

func TestShutdownTellsEveryoneOfALoss(t *testing.T) {
	w := newWorld(t)
	w.all("a connect", "a update", "c connect", "c update", "c add a", "d connect")
	var fx effects
	w.s.shutdown(&fx)
	if got, want := w.read(fx), []string{"a: LOST c", "c: LOST a"}; !slices.Equal(got, want) {
		t.Errorf("shutdown told %q, want %q", got, want)
	}
}

func TestNothingIsLeftOfPeersThatAreGone(t *testing.T) {
	w := newWorld(t)
	w.all("a connect", "a update", "c connect", "c update", "c add a", "c lost", "d connect", "d update", "d add a", "d remove a",
		"d add b", "d disconnect", "wait 15m", "a disconnect")
	if len(w.s.peers)+len(w.s.claims)+len(w.s.expiry)+w.s.tunnels != 0 {
		t.Errorf("state keeps %d peers, %d claims, %d expiries, %d tunnels, want none", len(w.s.peers), len(w.s.claims), len(w.s.expiry), w.s.tunnels)
	}
}

func TestTunnelsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.all("s connect")
	ev := Event{Kind: AddTunnel, Peer: testID("s"), Conn: w.conns["s"]}
	for i := range maxTunnels + 1 {
		ev.Dst = uuid.UUID{byte(i), byte(i >> 8), 1}
		if _, err := w.s.apply(ev, w.now); (err != nil) != (i == maxTunnels) {
			t.Fatalf("tunnel %d: error %v", i, err)
		}
	}
}
