package delta

// SetNext sets how far the table's entries have counted, which takes 4 GiB of states to get anywhere.
func SetNext(s *Scratch, next uint32) { s.next = next }
