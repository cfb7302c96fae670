// Package redisconn opens connections to Redis the way every user of it here needs them, looks whether what answers can be relied
// on, and watches whether it may have forgotten something. It knows nothing of rooms.
//
//	redis://[user:password@]host[:6379][/db]                               one server; rediss:// with TLS
//	unix:///path/to/socket[?db=n]                                          one server
//	redis+sentinel://[user:password@]host[:26379][,host…]/master-name[/db] the master that Sentinels name; rediss+sentinel://
//	redis+cluster://[user:password@]host[:6379][,host…]                    a Cluster, found by any of its servers; rediss+cluster://
//
// Clients opened here send nothing twice by themselves. go-redis would, by default: an append that was stored, and whose answer
// was lost, would come back as refused, and a whole pipeline as stored twice. Whoever asks has to find out, and knows how.
//
// A server that is gone is noticed after Config.Timeout, not after the many dials and retries that are go-redis's default.
//
// Clients may be used from any goroutine. No error and no log line holds a password.
package redisconn
