/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables. Each is there twice. Hashes and tries of a slot are elements of an outer array, so that they can grow; arrays
 * hold both slots, one after the other, so that the kernel looks into them without a call: the loader sets their sizes. */
#ifndef PORTOLAN_MAPS_H
#define PORTOLAN_MAPS_H

#include "kernel.h"
#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

struct ends4_inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct endpoint);
};

struct ends6_inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct v6_address);
	__type(value, struct endpoint);
};

struct blocks4_inner {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct v4_prefix);
	__type(value, __u32);
};

struct blocks6_inner {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct v6_prefix);
	__type(value, __u32);
};

#define GENERATIONS(name, inner)                                 \
	struct {                                                 \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);        \
		__uint(max_entries, SLOTS);                      \
		__type(key, __u32);                              \
		__array(values, struct inner);                   \
	} name SEC(".maps")

GENERATIONS(ends4, ends4_inner);
GENERATIONS(ends6, ends6_inner);
GENERATIONS(blocks4, blocks4_inner);
GENERATIONS(blocks6, blocks6_inner);

#define SLOTTED(name, kind, size, value_type)                    \
	struct {                                                 \
		__uint(type, kind);                              \
		__uint(max_entries, size);                       \
		__type(key, __u32);                              \
		__type(value, value_type);                       \
	} name SEC(".maps")

SLOTTED(identities, BPF_MAP_TYPE_ARRAY, 1, struct identity);
SLOTTED(rows, BPF_MAP_TYPE_ARRAY, 1, __u32);
SLOTTED(cells, BPF_MAP_TYPE_ARRAY, 1, __u32);
SLOTTED(ports, BPF_MAP_TYPE_ARRAY, SLOTS *PORT_PAGES, struct port_page);
SLOTTED(shapes, BPF_MAP_TYPE_ARRAY, SLOTS, struct shape);
SLOTTED(legend, BPF_MAP_TYPE_ARRAY, SLOTS, struct legend);
SLOTTED(tallies, BPF_MAP_TYPE_PERCPU_ARRAY, 1, struct tally);

/* No table: it makes the compiler describe every layout, for the loader to compare with its own. It is never made. */
struct layouts {
	struct endpoint endpoint;
	struct v4_prefix v4_prefix;
	struct v6_prefix v6_prefix;
	struct identity identity;
	struct shape shape;
	struct port_page port_page;
	struct tally tally;
	struct legend legend;
	struct record record;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct layouts);
} layouts SEC(".maps");

/* Packets by cause. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CAUSES);
	__type(key, __u32);
	__type(value, struct tally);
} causes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

#endif
