// Home first: a message goes to a consumer of its own region, the one that was served least; where there is none, to the
// one of all that was served least.
//
// A consumer's region is its client id up to the first dot; a message's is a property. Setting: property = region.
// The state is how often each consumer was served.
import { text } from 'jackfield:policy/symbols@0.1.0';

const LEAVE = 0xffffffff;
// Format of the state: a number that no other policy has.
const stateFormat = 3408628993;

let property = 'region';
const members = new Map();
const regions = new Map([[0, '']]);
// A state was taken over: who is in it and was not heard of before the next plan is gone.
let isRestored = false;

// The region that a symbol names.
function regionOf(symbol) {
  let region = regions.get(symbol);
  if (region === undefined) {
    region = text(symbol);
    regions.set(symbol, region);
  }
  return region;
}

export const lifecycle = {
  describe() {
    return { columns: [], properties: [property], maxRows: 256, stateVersion: stateFormat, restores: [stateFormat] };
  },

  configure(settings) {
    property = 'region';
    for (const { key, value } of settings) {
      if (key !== 'property') {
        throw 'the only setting is property, the name of the message property with the region';
      }
      if (value === '' || value.length > 128) {
        throw 'setting property is empty or longer than 128 bytes; name a message property';
      }
      property = value;
    }
  },

  snapshot(limit) {
    const length = members.size * 8;
    if (length > limit) {
      throw { tag: 'too-large', val: BigInt(length) };
    }
    const state = new DataView(new ArrayBuffer(length));
    let at = 0;
    for (const [slot, member] of members) {
      state.setUint32(at, slot, true);
      state.setUint32(at + 4, member.served, true);
      at += 8;
    }
    return new Uint8Array(state.buffer);
  },

  restore(_format, bytes) {
    if (bytes.length % 8 !== 0) {
      throw { tag: 'other', val: 'the state is damaged' };
    }
    const state = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    members.clear();
    isRestored = true;
    for (let at = 0; at < bytes.length; at += 8) {
      members.set(state.getUint32(at, true), { region: '', served: state.getUint32(at + 4, true), isHere: false });
    }
  },
};

export const queueDispatch = {
  membersChanged(changes) {
    for (const { tag, val } of changes) {
      if (tag === 'left') {
        members.delete(val);
        continue;
      }
      const member = members.get(val.slot) ?? { served: 0 };
      member.isHere = true;
      member.region = val.clientId.split('.', 1)[0];
      members.set(val.slot, member);
    }
  },

  plan(messages, now) {
    for (const [slot, member] of members) {
      if (isRestored && !member.isHere) {
        members.delete(slot);
      }
    }
    isRestored = false;
    const table = Array.from(now.slots, (slot) => members.get(slot));
    const credit = Array.from(now.credit, (left, at) => (table[at] ? left : 0));
    const words = Math.ceil(table.length / 64);
    const isCandidate = (row, at) =>
      messages.candidates.length === 0 ||
      ((messages.candidates[row * words + Math.floor(at / 64)] >> BigInt(at % 64)) & 1n) === 1n;
    const symbols = messages.columns.find(({ id }) => id === 1000)?.data.val;
    const plan = new Uint32Array(messages.rows).fill(LEAVE);
    for (let row = 0; row < plan.length; row++) {
      const home = symbols ? regionOf(symbols[row]) : '';
      let best = -1;
      let bestAtHome = false;
      for (let at = 0; at < table.length; at++) {
        if (credit[at] === 0 || !isCandidate(row, at)) {
          continue;
        }
        const atHome = home !== '' && table[at].region === home;
        if (best < 0 || (atHome && !bestAtHome) || (atHome === bestAtHome && table[at].served < table[best].served)) {
          best = at;
          bestAtHome = atHome;
        }
      }
      if (best < 0) {
        continue;
      }
      credit[best]--;
      table[best].served = Math.min(table[best].served + 1, 0xffffffff);
      plan[row] = now.slots[best];
    }
    return plan;
  },
};
