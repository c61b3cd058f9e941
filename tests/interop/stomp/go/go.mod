module jackfield.example/interop/stomp

go 1.26.8

require (
	github.com/go-stomp/stomp v2.1.4+incompatible // indirect
	github.com/go-stomp/stomp/v3 v3.1.0 // indirect
)
