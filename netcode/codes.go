package netcode

// Subprotocol is what the WebSocket handshake asks for and answers; Version is what hello and welcome carry.
const (
	Subprotocol = "tickover.v1"
	Version     = 1
)

// Codes of errors and refusals: stable words for programs. docs/PROTOCOL.md, section 5, says when each is used.
const (
	CodeBadMessage   = "bad_message"
	CodeBadInput     = "bad_input"
	CodeBadOptions   = "bad_options"
	CodeUnknownKind  = "unknown_kind"
	CodeUnknownRoom  = "unknown_room"
	CodeUnknownKey   = "unknown_key"
	CodeRoomFull     = "room_full"
	CodeRoomLocked   = "room_locked"
	CodeRoomEnded    = "room_ended"
	CodeKeyTaken     = "key_taken"
	CodeNotJoined    = "not_joined"
	CodeTooManyRooms = "too_many_rooms"
	CodeRateLimited  = "rate_limited"
	CodeOverloaded   = "overloaded"
	CodeBadAck       = "bad_ack"
	CodeInputWindow  = "input_window"
	CodeRoomFault    = "room_fault"
	CodeNotAdmitted  = "not_admitted"
	CodeShuttingDown = "shutting_down"
)

// Close codes of the WebSocket. 4000 to 4499: reconnect, with back-off. 4500 to 4999: do not.
const (
	CloseStopping     uint16 = 4000
	CloseNoHello      uint16 = 4001
	CloseBacklog      uint16 = 4008 // does not read
	CloseSilence      uint16 = 4009
	CloseReliable     uint16 = 4010 // does not acknowledge
	CloseFlood        uint16 = 4011
	CloseOverloaded   uint16 = 4012
	CloseStale        uint16 = 4013 // a later hello of the session was answered
	CloseUnauthorized uint16 = 4500
	CloseVersion      uint16 = 4501
	CloseViolation    uint16 = 4502
	CloseSuperseded   uint16 = 4503
	CloseBadSecret    uint16 = 4504
)

// MayReconnect says whether a client should come back after this close code, by the ranges of section 5.
func MayReconnect(code uint16) bool {
	switch {
	case code >= 4000 && code < 4500:
		return true
	case code >= 4500 && code < 5000:
		return false
	}
	switch code {
	case 1000, 1002, 1003, 1007, 1008, 1009, 1010:
		return false
	}
	return true // 1001, 1006, 1011 to 1014, and whatever a proxy may invent
}
