/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records of packets: one a second for packets that are alike, and never more than a processor's share. What is not
 * recorded is counted. */
#ifndef PORTOLAN_RECORD_H
#define PORTOLAN_RECORD_H

#include "kernel.h"
#include "verdict.h"

#define SECOND_NS 1000000000ull
#define RECORDS_PER_SECOND 1000

struct alike {
	struct v6_address source;
	struct v6_address destination;
	__u32 reason;
	__u16 port;
	__u8 protocol;
	__u8 cause;
};

struct seen {
	__u64 recorded_ns;
	__u32 since;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct alike);
	__type(value, struct seen);
} recent SEC(".maps");

struct share {
	__u64 second;
	__u32 records;
	__u32 pad;
	/* Records that found no room: over the share, or the ring full. */
	__u64 lost;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct share);
} share SEC(".maps");

static __always_inline void record(const struct question *q, const struct answer *a, __u8 protocol, __u32 flags)
{
	struct alike key = {
		.source = q->source,
		.destination = q->destination,
		.reason = a->reason,
		.port = q->port,
		.protocol = protocol,
		.cause = a->cause,
	};
	__u32 zero = 0, packets = 1;
	__u64 now = bpf_ktime_get_ns();
	struct seen *seen = bpf_map_lookup_elem(&recent, &key);
	struct share *mine = bpf_map_lookup_elem(&share, &zero);

	if (!mine)
		return;
	if (seen) {
		__u64 before = seen->recorded_ns;

		if (now - before < SECOND_NS) {
			__sync_fetch_and_add(&seen->since, 1);
			return;
		}
		seen->recorded_ns = now;
		packets += seen->since;
		seen->since = 0;
	} else {
		struct seen first = { .recorded_ns = now };

		bpf_map_update_elem(&recent, &key, &first, BPF_ANY);
	}
	if (mine->second != now / SECOND_NS) {
		mine->second = now / SECOND_NS;
		mine->records = 0;
	}
	struct record *made = 0;

	if (mine->records < RECORDS_PER_SECOND)
		made = bpf_ringbuf_reserve(&events, sizeof(*made), 0);
	if (!made) {
		mine->lost++;
		return;
	}
	mine->records++;
	made->time_ns = now;
	made->source = q->source;
	made->destination = q->destination;
	made->source_identity = a->source_identity;
	made->destination_identity = a->destination_identity;
	made->slot = a->slot;
	made->reason = a->reason;
	made->count = packets;
	made->port = q->port;
	made->protocol = protocol;
	made->cause = a->cause;
	made->flags = flags;
	made->pad = 0;
	bpf_ringbuf_submit(made, 0);
}

#endif
