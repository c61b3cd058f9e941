"""Home first: a message goes to a consumer of its own region, the one that was served least; where there is none, to the
one of all that was served least.

A consumer's region is its client id up to the first dot; a message's is a property. Setting: property = region.
The state is how often each consumer was served.
"""

import struct

from wit_world import exports
from wit_world.exports.lifecycle import Refusal_Other, Refusal_TooLarge
from wit_world.exports.queue_dispatch import Change_Left
from wit_world.imports.symbols import text
from wit_world.imports.types import Requirements
from componentize_py_types import Err

LEAVE = 0xFFFFFFFF
# Format of the state: a number that no other policy has.
STATE_FORMAT = 3408628993

# Of each consumer: its region, how often it was served, whether it was heard of since a state was taken over.
REGION, SERVED, IS_HERE = range(3)

property_name = "region"
members = {}
regions = {0: ""}
# A state was taken over: who is in it and was not heard of before the next plan is gone.
is_restored = False


def region_of(symbol):
    """The region that a symbol names."""
    region = regions.get(symbol)
    if region is None:
        region = regions[symbol] = text(symbol)
    return region


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Requirements([], [property_name], 256, STATE_FORMAT, [STATE_FORMAT])

    def configure(self, settings):
        global property_name
        property_name = "region"
        for setting in settings:
            if setting.key != "property":
                raise Err("the only setting is property, the name of the message property with the region")
            if not 0 < len(setting.value) <= 128:
                raise Err("setting property is empty or longer than 128 bytes; name a message property")
            property_name = setting.value

    def snapshot(self, limit):
        state = b"".join(struct.pack("<II", slot, member[SERVED]) for slot, member in members.items())
        if len(state) > limit:
            raise Err(Refusal_TooLarge(len(state)))
        return state

    def restore(self, format, state):
        global is_restored
        if len(state) % 8 != 0:
            raise Err(Refusal_Other("the state is damaged"))
        members.clear()
        is_restored = True
        for slot, served in struct.iter_unpack("<II", state):
            members[slot] = ["", served, False]


class QueueDispatch(exports.QueueDispatch):
    def members_changed(self, changes):
        for change in changes:
            if isinstance(change, Change_Left):
                members.pop(change.value, None)
                continue
            member = members.setdefault(change.value.slot, ["", 0, True])
            member[REGION] = change.value.client_id.split(".", 1)[0]
            member[IS_HERE] = True

    def plan(self, messages, now):
        global is_restored
        if is_restored:
            for slot in [slot for slot, member in members.items() if not member[IS_HERE]]:
                del members[slot]
        is_restored = False
        table = [members.get(slot) for slot in now.slots]
        credit = [left if member else 0 for left, member in zip(now.credit, table)]
        words = (len(table) + 63) // 64
        symbols = next((column.data.value for column in messages.columns if column.id == 1000), None)
        plan = [LEAVE] * messages.rows
        for row in range(messages.rows):
            home = region_of(symbols[row]) if symbols else ""
            best, best_at_home = None, False
            for at, member in enumerate(table):
                if credit[at] == 0:
                    continue
                if messages.candidates and not messages.candidates[row * words + at // 64] >> at % 64 & 1:
                    continue
                at_home = home != "" and member[REGION] == home
                if (
                    best is None
                    or at_home > best_at_home
                    or (at_home == best_at_home and member[SERVED] < table[best][SERVED])
                ):
                    best, best_at_home = at, at_home
            if best is None:
                continue
            credit[best] -= 1
            table[best][SERVED] = min(table[best][SERVED] + 1, 0xFFFFFFFF)
            plan[row] = now.slots[best]
        return plan
