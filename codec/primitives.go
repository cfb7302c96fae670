package codec

// AppendUint appends an integer in its shortest form.
func AppendUint(dst []byte, u uint64) []byte { return appendUint(dst, u) }

// AppendInt appends an integer in its shortest form.
func AppendInt(dst []byte, i int64) []byte { return appendInt(dst, i) }

// AppendString appends a string; bytes that are not UTF-8 are written as U+FFFD.
func AppendString(dst []byte, s string) []byte { return appendString(dst, s) }

// AppendBytes appends a byte string; nil is written as nil.
func AppendBytes(dst, b []byte) []byte { return appendBytes(dst, b) }
