// Package proto holds the messages and the dRPC service between an agent and
// the server (agent.proto). Its version number and history are shared with
// the tailnet service and live in tailnet/proto.
//
// Messages are generated: run make gen after a change to agent.proto.
package proto
