// What a dispatch policy sees and says, and the glue to the component model. The manual is wit/policy.wit.
package main

import "unsafe"

// Leave in a plan leaves the row where it is.
const Leave = 1<<32 - 1

// Policy decides which consumer gets which message of one queue. Set policy to yours in an init function.
type Policy interface {
	// Describe says what the policy wants to see.
	Describe() Requirements
	// Configure takes all the settings; an error's text is for the operator.
	Configure(settings []Setting) error
	Joined(consumer Member)
	Left(slot uint32)
	// Plan fills in a slot for each row; all are Leave before.
	Plan(messages Batch, now Consumers, plan []uint32)
	// Snapshot gives the state.
	Snapshot() []byte
	// Restore takes over a state.
	Restore(state []byte) error
}

var policy Policy

// Requirements are ids of columns, names of properties, and formats of the state.
type Requirements struct {
	Columns      []uint32
	Properties   []string
	MaxRows      uint32
	StateVersion uint32
	Restores     []uint32
}

// Setting is a key and a value of the configuration.
type Setting struct{ Key, Value string }

// Member is a consumer as it joined.
type Member struct {
	Slot      uint32
	ClientID  string
	Selector  string
	IsNetwork bool
}

// Batch is the messages that wait, oldest first. It holds until Plan returns.
type Batch struct {
	NowMs       uint64
	Destination uint32
	Rows        int
	columns     memory
	length      int
	candidates  []uint64
}

// Consumers is all of them; index i of each list is the same one. It holds until Plan returns.
type Consumers struct {
	Slots    []uint32
	Credit   []uint32
	InFlight []uint32
	Priority []int16
}

// IsCandidate is true if the consumer at index at may take the row, credit aside.
func (b Batch) IsCandidate(now Consumers, row, at int) bool {
	words := (len(now.Slots) + 63) / 64
	return len(b.candidates) == 0 || b.candidates[row*words+at/64]>>(at%64)&1 == 1
}

// U8s, U32s, S64s, F64s and Symbols are the values of the column with this id, nil if it was not asked for.
func (b Batch) U8s(id uint32) []uint8      { return values[uint8](b, id, 0) }
func (b Batch) U32s(id uint32) []uint32    { return values[uint32](b, id, 1) }
func (b Batch) S64s(id uint32) []int64     { return values[int64](b, id, 2) }
func (b Batch) F64s(id uint32) []float64   { return values[float64](b, id, 3) }
func (b Batch) Symbols(id uint32) []uint32 { return values[uint32](b, id, 4) }

func values[T any](b Batch, id uint32, kind uint8) []T {
	for i := range b.length {
		at := b.columns.add(i * 16)
		if at.u32(0) == id && at.u8(4) == kind {
			return list[T](at, 8)
		}
	}
	return nil
}

// Text is the text of a symbol. Ask once and remember.
func Text(symbol uint32) string {
	out := make([]uint32, 2)
	symbolsText(symbol, unsafe.Pointer(&out[0]))
	return text(memory{unsafe.Pointer(&out[0])}, 0)
}

// Log writes a line to the broker's log; level 0 is debug, 3 is error.
func Log(level uint32, line string) {
	telemetryLog(level, unsafe.Pointer(unsafe.StringData(line)), uint32(len(line)))
}

//go:wasmimport jackfield:policy/symbols@0.1.0 text
func symbolsText(symbol uint32, out unsafe.Pointer)

//go:wasmimport jackfield:policy/telemetry@0.1.0 log
func telemetryLog(level uint32, line unsafe.Pointer, length uint32)

// Memory that the broker wrote or will read, kept from the arguments of a call to the end of its answer.
var kept [][]uint64

func keep(bytes uint32) unsafe.Pointer {
	block := make([]uint64, bytes/8+1)
	kept = append(kept, block)
	return unsafe.Pointer(&block[0])
}

func release() {
	clear(kept)
	kept = kept[:0]
}

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, newSize uint32) unsafe.Pointer {
	fresh := keep(newSize)
	if old != nil {
		copy(unsafe.Slice((*byte)(fresh), newSize), unsafe.Slice((*byte)(old), oldSize))
	}
	return fresh
}

// The layout of the component model: pointers and lengths of 32 bits, whatever Go's are.
type memory struct{ at unsafe.Pointer }

func (m memory) add(offset int) memory        { return memory{unsafe.Add(m.at, offset)} }
func (m memory) u8(offset int) uint8          { return *(*uint8)(unsafe.Add(m.at, offset)) }
func (m memory) u32(offset int) uint32        { return *(*uint32)(unsafe.Add(m.at, offset)) }
func (m memory) u64(offset int) uint64        { return *(*uint64)(unsafe.Add(m.at, offset)) }
func (m memory) put(offset int, value uint32) { *(*uint32)(unsafe.Add(m.at, offset)) = value }

func list[T any](m memory, offset int) []T {
	length := m.u32(offset + 4)
	if length == 0 {
		return nil
	}
	// A pointer as the broker wrote it; what it points at is kept.
	at := *(*uint32)(unsafe.Add(m.at, offset))
	return unsafe.Slice((*T)(pointer(at)), length)
}

func pointer(at uint32) unsafe.Pointer {
	address := uintptr(at)
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}

func text(m memory, offset int) string { return string(list[byte](m, offset)) }

func putList[T any](m memory, offset int, values []T) {
	var one T
	size := uint32(len(values)) * uint32(unsafe.Sizeof(one))
	block := keep(size)
	copy(unsafe.Slice((*T)(block), len(values)+1), values)
	m.put(offset, uint32(uintptr(block)))
	m.put(offset+4, uint32(len(values)))
}

//go:wasmexport jackfield:policy/lifecycle@0.1.0#describe
func describe() unsafe.Pointer {
	wants := policy.Describe()
	out := memory{keep(32)}
	putList(out, 0, wants.Columns)
	properties := memory{keep(uint32(len(wants.Properties)) * 8)}
	for i, name := range wants.Properties {
		putList(properties, i*8, []byte(name))
	}
	out.put(8, uint32(uintptr(properties.at)))
	out.put(12, uint32(len(wants.Properties)))
	out.put(16, wants.MaxRows)
	out.put(20, wants.StateVersion)
	putList(out, 24, wants.Restores)
	return out.at
}

//go:wasmexport jackfield:policy/lifecycle@0.1.0#configure
func configure(at unsafe.Pointer, length uint32) unsafe.Pointer {
	settings := make([]Setting, length)
	for i := range settings {
		each := memory{at}.add(i * 16)
		settings[i] = Setting{text(each, 0), text(each, 8)}
	}
	out := memory{keep(12)}
	if err := policy.Configure(settings); err != nil {
		out.put(0, 1)
		putList(out, 4, []byte(err.Error()))
	}
	return out.at
}

//go:wasmexport jackfield:policy/lifecycle@0.1.0#snapshot
func snapshot(limit uint32) unsafe.Pointer {
	out := memory{keep(24)}
	state := policy.Snapshot()
	if len(state) > int(limit) {
		out.put(0, 1)
		out.put(8, 1)
		out.put(16, uint32(len(state)))
	} else {
		putList(out, 8, state)
	}
	return out.at
}

//go:wasmexport jackfield:policy/lifecycle@0.1.0#restore
func restore(format uint32, at unsafe.Pointer, length uint32) unsafe.Pointer {
	out := memory{keep(24)}
	if err := policy.Restore(unsafe.Slice((*byte)(at), length)); err != nil {
		out.put(0, 1)
		out.put(8, 2)
		putList(out, 16, []byte(err.Error()))
	}
	return out.at
}

//go:wasmexport jackfield:policy/queue-dispatch@0.1.0#members-changed
func membersChanged(at unsafe.Pointer, length uint32) {
	for i := range int(length) {
		each := memory{at}.add(i * 28)
		if each.u8(0) == 1 {
			policy.Left(each.u32(4))
			continue
		}
		policy.Joined(Member{each.u32(4), text(each, 8), text(each, 16), each.u8(24) != 0})
	}
	release()
}

//go:wasmexport jackfield:policy/queue-dispatch@0.1.0#plan
func plan(at unsafe.Pointer) unsafe.Pointer {
	asked := memory{at}
	messages := Batch{
		NowMs:       asked.u64(0),
		Destination: asked.u32(8),
		Rows:        int(asked.u32(12)),
		columns:     memory{pointer(asked.u32(16))},
		length:      int(asked.u32(20)),
		candidates:  list[uint64](asked, 24),
	}
	now := Consumers{list[uint32](asked, 32), list[uint32](asked, 40), list[uint32](asked, 48), list[int16](asked, 56)}
	slots := make([]uint32, messages.Rows)
	for row := range slots {
		slots[row] = Leave
	}
	policy.Plan(messages, now, slots)
	out := memory{keep(8)}
	putList(out, 0, slots)
	return out.at
}

//go:wasmexport cabi_post_jackfield:policy/lifecycle@0.1.0#describe
func afterDescribe(unsafe.Pointer) { release() }

//go:wasmexport cabi_post_jackfield:policy/lifecycle@0.1.0#configure
func afterConfigure(unsafe.Pointer) { release() }

//go:wasmexport cabi_post_jackfield:policy/lifecycle@0.1.0#snapshot
func afterSnapshot(unsafe.Pointer) { release() }

//go:wasmexport cabi_post_jackfield:policy/lifecycle@0.1.0#restore
func afterRestore(unsafe.Pointer) { release() }

//go:wasmexport cabi_post_jackfield:policy/queue-dispatch@0.1.0#plan
func afterPlan(unsafe.Pointer) { release() }
