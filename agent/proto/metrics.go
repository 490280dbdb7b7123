package proto

// MetricInput is the name of a metric in Stats by which our agents say whether
// somebody typed, or sent something into a session that is no editor's, since
// their last report: 1 or 0. Servers that do not know it count open sessions.
const MetricInput = "berth_session_input"
