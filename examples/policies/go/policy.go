// Home first: a message goes to a consumer of its own region, the one that was served least; where there is none, to the
// one of all that was served least.
//
// A consumer's region is its client id up to the first dot; a message's is a property. Setting: property = region.
// The state is how often each consumer was served.
package main

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
)

// Format of the state: a number that no other policy has.
const stateFormat = 3408628993

type member struct {
	region string
	served uint32
	isHere bool
}

type homeFirst struct {
	property string
	members  map[uint32]*member
	regions  map[uint32]string
	// A state was taken over: who is in it and was not heard of before the next plan is gone.
	isRestored bool
}

func main() {}

func init() {
	policy = &homeFirst{property: "region", members: map[uint32]*member{}, regions: map[uint32]string{0: ""}}
}

func (p *homeFirst) Describe() Requirements {
	return Requirements{Properties: []string{p.property}, MaxRows: 256, StateVersion: stateFormat, Restores: []uint32{stateFormat}}
}

func (p *homeFirst) Configure(settings []Setting) error {
	p.property = "region"
	for _, setting := range settings {
		if setting.Key != "property" {
			return errors.New("the only setting is property, the name of the message property with the region")
		}
		if setting.Value == "" || len(setting.Value) > 128 {
			return errors.New("setting property is empty or longer than 128 bytes; name a message property")
		}
		p.property = setting.Value
	}
	return nil
}

func (p *homeFirst) Joined(consumer Member) {
	known := p.members[consumer.Slot]
	if known == nil {
		known = &member{}
		p.members[consumer.Slot] = known
	}
	known.isHere = true
	known.region, _, _ = strings.Cut(consumer.ClientID, ".")
}

func (p *homeFirst) Left(slot uint32) { delete(p.members, slot) }

func (p *homeFirst) Plan(messages Batch, now Consumers, plan []uint32) {
	for slot, member := range p.members {
		if p.isRestored && !member.isHere {
			delete(p.members, slot)
		}
	}
	p.isRestored = false
	table := make([]*member, len(now.Slots))
	credit := make([]uint32, len(now.Slots))
	for at, slot := range now.Slots {
		if table[at] = p.members[slot]; table[at] != nil {
			credit[at] = now.Credit[at]
		}
	}
	regions := messages.Symbols(1000)
	for row := range plan {
		home := ""
		if regions != nil {
			home = p.region(regions[row])
		}
		best, bestAtHome := -1, false
		for at, member := range table {
			if credit[at] == 0 || !messages.IsCandidate(now, row, at) {
				continue
			}
			atHome := home != "" && member.region == home
			if best < 0 || atHome && !bestAtHome || atHome == bestAtHome && member.served < table[best].served {
				best, bestAtHome = at, atHome
			}
		}
		if best < 0 {
			continue
		}
		credit[best]--
		if table[best].served < math.MaxUint32 {
			table[best].served++
		}
		plan[row] = now.Slots[best]
	}
}

// The region that a symbol names.
func (p *homeFirst) region(symbol uint32) string {
	text, known := p.regions[symbol]
	if !known {
		text = Text(symbol)
		p.regions[symbol] = text
	}
	return text
}

func (p *homeFirst) Snapshot() []byte {
	state := make([]byte, 0, len(p.members)*8)
	for slot, member := range p.members {
		state = binary.LittleEndian.AppendUint32(state, slot)
		state = binary.LittleEndian.AppendUint32(state, member.served)
	}
	return state
}

func (p *homeFirst) Restore(state []byte) error {
	if len(state)%8 != 0 {
		return errors.New("the state is damaged")
	}
	clear(p.members)
	p.isRestored = true
	for ; len(state) > 0; state = state[8:] {
		served := binary.LittleEndian.Uint32(state[4:])
		p.members[binary.LittleEndian.Uint32(state)] = &member{served: served}
	}
	return nil
}
