/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a packet to addresses, protocol and ports. Whatever cannot be read says so: the caller drops it. */
#ifndef PORTOLAN_PARSE_H
#define PORTOLAN_PARSE_H

#include "kernel.h"
#include "verdict.h"

#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ICMPV6 58
#define PROTOCOL_SCTP 132

/* Positions in the pages of ports: those of Protocol::ALL. */
#define INDEX_SCTP 0
#define INDEX_TCP 1
#define INDEX_UDP 2

#define EXTENSION_HOP_BY_HOP 0
#define EXTENSION_ROUTING 43
#define EXTENSION_FRAGMENT 44
#define EXTENSION_AUTHENTICATION 51
#define EXTENSION_DESTINATION 60
#define EXTENSION_HEADERS 8

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_LOOSE_ROUTE 131
#define OPTION_STRICT_ROUTE 137

struct v4_header {
	__u8 version_length;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__u32 source;
	__u32 destination;
};

struct v6_header {
	__u32 version_class_flow;
	__be16 payload_length;
	__u8 next_header;
	__u8 hop_limit;
	struct v6_address source;
	struct v6_address destination;
};

struct port_pair {
	__be16 source;
	__be16 destination;
};

struct extension {
	__u8 next_header;
	__u8 length;
	__u8 kind;
	__u8 segments_left;
	__u32 rest;
};

struct parsed {
	struct v6_address source;
	struct v6_address destination;
	__u16 source_port;
	__u16 destination_port;
	__u8 protocol;
	__u8 has_ports;
	/* Whether the addresses were read. */
	__u8 has_ends;
	/* An ICMP message about another packet. */
	__u8 icmp_error;
	__u8 neighbour;
};

/* The transport header at `offset`. Returns a cause, or 0. */
static __always_inline int parse_transport(const struct bpf_dynptr *packet, __u32 offset, __u8 hop_limit,
					   struct parsed *p)
{
	__u32 buffer[5];
	__u8 *bytes;

	switch (p->protocol) {
	case PROTOCOL_TCP:
		bytes = dynptr_slice(packet, offset, buffer, 20);
		break;
	case PROTOCOL_SCTP:
		bytes = dynptr_slice(packet, offset, buffer, 12);
		break;
	case PROTOCOL_UDP:
		bytes = dynptr_slice(packet, offset, buffer, 8);
		break;
	case PROTOCOL_ICMP:
		bytes = dynptr_slice(packet, offset, buffer, 8);
		if (!bytes)
			return CAUSE_TRUNCATED;
		p->icmp_error = bytes[0] == 3 || bytes[0] == 4 || bytes[0] == 5 || bytes[0] == 11 || bytes[0] == 12;
		return 0;
	case PROTOCOL_ICMPV6:
		bytes = dynptr_slice(packet, offset, buffer, 8);
		if (!bytes)
			return CAUSE_TRUNCATED;
		p->icmp_error = bytes[0] >= 1 && bytes[0] <= 4;
		/* RFC 4861: nobody forwards it. */
		p->neighbour = bytes[0] >= 133 && bytes[0] <= 137 && hop_limit == 255;
		return 0;
	default:
		return 0;
	}
	if (!bytes)
		return CAUSE_TRUNCATED;
	p->source_port = (__u16)bytes[0] << 8 | bytes[1];
	p->destination_port = (__u16)bytes[2] << 8 | bytes[3];
	p->has_ports = 1;
	return 0;
}

/* Whether the options of an IPv4 header name a route. They are at most 40 bytes; every byte is looked at, at an offset that
 * the verifier knows, and `next` says at which one an option begins. */
static __always_inline int parse_options(const struct bpf_dynptr *packet, __u32 length)
{
	__u32 next = 0;

	for (__u32 at = 0; at < 40; at++) {
		__u8 buffer[2], *option;

		if (at >= length)
			break;
		if (at != next)
			continue;
		option = dynptr_slice(packet, 20 + at, buffer, 1);
		if (!option)
			return CAUSE_TRUNCATED;
		if (option[0] == OPTION_END)
			return 0;
		if (option[0] == OPTION_NOP) {
			next = at + 1;
			continue;
		}
		if (option[0] == OPTION_LOOSE_ROUTE || option[0] == OPTION_STRICT_ROUTE)
			return CAUSE_SOURCE_ROUTE;
		option = dynptr_slice(packet, 20 + at, buffer, 2);
		if (!option)
			return CAUSE_TRUNCATED;
		if (option[1] < 2)
			return CAUSE_MALFORMED;
		next = at + option[1];
	}
	return next > length ? CAUSE_MALFORMED : 0;
}

/* How much of a transport header must be there; 0 for protocols that are read elsewhere. */
static __always_inline __u32 transport_length(__u8 protocol)
{
	return protocol == PROTOCOL_TCP ? 20 : protocol == PROTOCOL_UDP ? 8 : protocol == PROTOCOL_SCTP ? 12 : 0;
}

static __always_inline void plain_ports(const unsigned char *at, struct parsed *p)
{
	const struct port_pair *ports = AS(struct udphdr, at);

	p->source_port = bpf_ntohs(ports->source);
	p->destination_port = bpf_ntohs(ports->destination);
	p->has_ports = 1;
}

/* Most packets: headers without options and extensions, all of them in one piece of memory, ports. Reads them without a
 * call; returns 0, and has read nothing, when the packet is another. `there` bytes are at `data`. */
static __always_inline int plain_v4(const unsigned char *data, __u32 there, struct parsed *p)
{
	const struct v4_header *header;
	__u32 length;

	if (there < 20)
		return 0;
	header = AS(struct iphdr, data);
	length = transport_length(header->protocol);
	if (header->version_length != 0x45 || bpf_ntohs(header->total_length) < 20 ||
	    (header->fragment & bpf_htons(0x3fff)) || !length || there < 20 + length)
		return 0;
	p->protocol = header->protocol;
	p->source.words[0] = header->source;
	p->destination.words[0] = header->destination;
	p->has_ends = 1;
	plain_ports(data + 20, p);
	return 1;
}

static __always_inline int plain_v6(const unsigned char *data, __u32 there, struct parsed *p)
{
	const struct v6_header *header;
	__u32 length;

	if (there < 40)
		return 0;
	header = AS(struct ipv6hdr, data);
	length = transport_length(header->next_header);
	if (*(const __u8 *)header >> 4 != 6 || !length || there < 40 + length)
		return 0;
	p->protocol = header->next_header;
	for (int i = 0; i < 4; i++) {
		p->source.words[i] = header->source.words[i];
		p->destination.words[i] = header->destination.words[i];
	}
	p->has_ends = 1;
	plain_ports(data + 40, p);
	return 1;
}

static __always_inline int parse_v4(const struct bpf_dynptr *packet, struct parsed *p)
{
	struct v4_header buffer, *header = dynptr_slice(packet, 0, &buffer, sizeof(buffer));
	int problem;

	if (!header)
		return CAUSE_TRUNCATED;
	__u32 length = (header->version_length & 0xf) * 4;

	if (header->version_length >> 4 != 4 || length < 20 || bpf_ntohs(header->total_length) < length)
		return CAUSE_MALFORMED;
	p->protocol = header->protocol;
	p->source.words[0] = header->source;
	p->destination.words[0] = header->destination;
	p->has_ends = 1;
	/* More fragments, or not the first. */
	if (header->fragment & bpf_htons(0x3fff))
		return CAUSE_FRAGMENT;
	if (length > 20) {
		problem = parse_options(packet, length - 20);
		if (problem)
			return problem;
	}
	return parse_transport(packet, length, 0, p);
}

static __always_inline int parse_v6(const struct bpf_dynptr *packet, struct parsed *p)
{
	struct v6_header buffer, *header = dynptr_slice(packet, 0, &buffer, sizeof(buffer));
	__u32 offset = sizeof(struct v6_header);

	if (!header)
		return CAUSE_TRUNCATED;
	if ((bpf_ntohl(header->version_class_flow) >> 28) != 6)
		return CAUSE_MALFORMED;
	__u8 hop_limit = header->hop_limit;
	__u8 next = header->next_header;

	p->source = header->source;
	p->destination = header->destination;
	p->has_ends = 1;
	for (int i = 0; i < EXTENSION_HEADERS; i++) {
		struct extension space, *extension;

		if (next != EXTENSION_HOP_BY_HOP && next != EXTENSION_ROUTING && next != EXTENSION_FRAGMENT &&
		    next != EXTENSION_AUTHENTICATION && next != EXTENSION_DESTINATION) {
			p->protocol = next;
			return parse_transport(packet, offset, hop_limit, p);
		}
		extension = dynptr_slice(packet, offset, &space, sizeof(space));
		if (!extension)
			return CAUSE_TRUNCATED;
		switch (next) {
		case EXTENSION_FRAGMENT:
			/* One that is whole all the same is no fragment (RFC 6946). */
			if (((__u16)extension->kind << 8 | extension->segments_left) & 0xfff9)
				return CAUSE_FRAGMENT;
			offset += 8;
			break;
		case EXTENSION_AUTHENTICATION:
			offset += ((__u32)extension->length + 2) * 4;
			break;
		case EXTENSION_ROUTING:
			if (extension->segments_left)
				return CAUSE_SOURCE_ROUTE;
			/* fallthrough */
		default:
			offset += ((__u32)extension->length + 1) * 8;
		}
		next = extension->next_header;
	}
	return CAUSE_HEADERS;
}

#endif
