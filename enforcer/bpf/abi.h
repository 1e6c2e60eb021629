/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the agent and the kernel's programs agree on: keys and values of maps, and the records of the ring buffer.
 * `src/datapath/abi.rs` says the same in Rust, and a test compares the two by the BTF of the object. */
#ifndef PORTOLAN_ABI_H
#define PORTOLAN_ABI_H

/* Raised whenever a layout changes: pins of another version are not adopted. */
#define ABI_VERSION 2

/* There are two generations; packets use the one that `control` names. */
#define SLOTS 2

/* Ports come in pages, so that a page is written at once. */
#define PORTS_PER_PAGE 1024
#define PAGES_PER_PROTOCOL 64
#define PORT_PAGES (3 * PAGES_PER_PROTOCOL)

enum control_flag {
	/* Count and report what would be dropped, drop nothing. */
	CONTROL_AUDIT = 1,
	/* Let addresses of this node's pods pass that nobody knows yet. */
	CONTROL_UNKNOWN_PASS = 2,
	/* Record also what passes. */
	CONTROL_LOG_ALLOWED = 4,
};

struct control {
	__u32 slot;
	__u32 flags;
};

struct endpoint {
	__u32 identity;
	/* 1 = a pod of this node. */
	__u32 local;
};

struct v4_prefix {
	__u32 length;
	__u32 address;
};

struct v6_address {
	__u32 words[4];
};

struct v6_prefix {
	__u32 length;
	struct v6_address address;
};

enum identity_flag {
	/* An address of this node's pods of which nothing is known. */
	IDENTITY_UNKNOWN = 1,
	/* What its own policies refuse is counted and reported, and passes. */
	IDENTITY_AUDIT = 2,
};

struct identity {
	__u32 column;
	__u32 ingress;
	__u32 ingress_exempt;
	__u32 egress;
	__u32 egress_exempt;
	__u32 flags;
};

enum shape_flag {
	/* NP-19: policies are asked about egress to the own node. */
	SHAPE_ASKS_OWN_NODE = 1,
	/* NP-18: policies are asked about a pod that reaches itself. */
	SHAPE_ASKS_ITSELF = 2,
};

struct shape {
	__u32 columns;
	__u32 classes;
	__u32 own_node_v4;
	__u32 own_node_v6;
	__u32 flags;
	/* Where the slot begins in each of the tables that both slots share. */
	__u32 identities;
	__u32 rows;
	__u32 cells;
	__u32 tallies;
};

/* A cell of a row: the reason, and whether packets pass. */
#define CELL_ALLOW 0x80000000u
#define CELL_REASON 0x7fffffffu

struct port_page {
	__u16 classes[PORTS_PER_PAGE];
};

/* What became of packets. */
struct tally {
	__u64 passed;
	__u64 dropped;
	/* Refused, and passed all the same. */
	__u64 audited;
};

/* What numbers in a slot's tables mean: for those who read counters. Packets do not look at it. */
struct legend {
	/* Of the words of all reasons. */
	__u64 fingerprint;
	/* How many elements are in use. */
	__u32 identities;
	__u32 rows;
	__u32 cells;
	__u32 reasons;
};

/* Why a packet passes or not before, or in place of, a cell. The order is that of `causes` in abi.rs. */
enum cause {
	/* A cell says so. */
	CAUSE_POLICY = 0,
	/* No end is a pod of this node. */
	CAUSE_NOT_OURS = 1,
	/* An ICMP error about a connection that conntrack knows. */
	CAUSE_RELATED = 2,
	/* Neighbour discovery. */
	CAUSE_NEIGHBOUR = 3,
	/* An address of this node's pods of which nothing is known. */
	CAUSE_UNKNOWN_POD = 4,
	/* Shorter than its headers say. */
	CAUSE_TRUNCATED = 5,
	/* Headers that contradict themselves. */
	CAUSE_MALFORMED = 6,
	/* A piece of a datagram that was not put together. */
	CAUSE_FRAGMENT = 7,
	/* A route written into the packet. */
	CAUSE_SOURCE_ROUTE = 8,
	/* More extension headers than are looked at. */
	CAUSE_HEADERS = 9,
	/* The tables do not hold together. */
	CAUSE_TABLES = 10,
	CAUSES = 11,
};

enum record_flag {
	RECORD_DROPPED = 1,
	/* It would have been dropped. */
	RECORD_AUDITED = 2,
	/* Of the ingress policies of the destination; else of the egress policies of the source. */
	RECORD_INGRESS = 4,
	RECORD_V6 = 8,
	RECORD_REPLY = 16,
};

/* A record of the ring buffer. Addresses and ports are those of the direction in which the connection was opened; an
 * IPv4 address is in the first word. */
struct record {
	__u64 time_ns;
	struct v6_address source;
	struct v6_address destination;
	__u32 source_identity;
	__u32 destination_identity;
	__u32 slot;
	__u32 reason;
	/* Packets like this one since the last record of them. */
	__u32 count;
	__u16 port;
	__u8 protocol;
	__u8 cause;
	__u32 flags;
	__u32 pad;
};

#endif
