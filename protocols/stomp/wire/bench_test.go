package wire

import (
	"bytes"
	"io"
	"testing"

	"github.com/sluice-mq/sluice/gateway"
)

func sampleHeader() gateway.Header {
	return gateway.Header{
		{Name: "destination", Value: "/queue/transfers.site-a"},
		{Name: "receipt", Value: "message-12345"},
		{Name: "persistent", Value: "true"},
		{Name: "content-type", Value: "application/json"},
		{Name: contentLength, Value: "1024"},
	}
}

func sampleBody() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 64) }

func BenchmarkRead1KiB(b *testing.B) {
	for _, counted := range []bool{true, false} {
		name, h := "content-length", sampleHeader()
		if !counted {
			name, h[4] = "to the NUL", gateway.Field{Name: "correlation-id", Value: "1024"}
		}
		b.Run(name, func(b *testing.B) {
			one := AppendFrame(nil, V12, cmdSend, h, sampleBody())
			stream := bytes.Repeat(one, 1000)
			src := bytes.NewReader(stream)
			r := NewReader(src, AfterLogin(1<<20))
			r.SetVersion(V12)
			b.SetBytes(int64(len(one)))
			b.ReportAllocs()
			var f Frame
			for i := 0; b.Loop(); i++ {
				if i%1000 == 0 {
					if _, err := src.Seek(0, io.SeekStart); err != nil {
						b.Fatal(err)
					}
					r.err = nil // the end of the stream, perhaps
				}
				if err := r.Next(&f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadLarge(b *testing.B) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	h := gateway.Header{{Name: "destination", Value: "/queue/a"}, {Name: contentLength}}
	one := AppendFrame(nil, V12, cmdSend, h, body)
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(bytes.NewReader(one), AfterLogin(len(body)))
		var f Frame
		if err := r.Next(&f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	h, body := sampleHeader(), sampleBody()
	h[1] = gateway.Field{Name: "message-id", Value: "ID:gateway-1-40023:1:1:1:12345"}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendFrame(dst[:0], V12, cmdMessage, h, body)
	}
	b.SetBytes(int64(len(dst)))
}
