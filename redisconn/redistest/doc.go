// Package redistest runs real Redis for tests: one server, a Cluster, or a master and a replica under Sentinels, and a proxy that
// loses answers. It is for tests only. It starts redis-server from the PATH; a test is skipped, loudly, where there is none.
//
// Everything started ends with its test and, on Linux, with the test's process, even if that is killed. Nothing uses a fixed port,
// and data is in a temporary folder.
//
// A Server is used by one goroutine at a time; what it runs may be used by any.
package redistest
