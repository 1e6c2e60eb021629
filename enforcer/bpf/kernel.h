/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs need of the kernel's own types; offsets come from the running kernel's BTF (CO-RE). */
#ifndef PORTOLAN_KERNEL_H
#define PORTOLAN_KERNEL_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock;

struct sk_buff {
	struct sock *sk;
	unsigned long _nfct;
	unsigned int len;
	unsigned int data_len;
	unsigned char *data;
};

/* Their layouts are those of the wire; `parse.h` has its own. The kernel's are named where its memory is read. */
struct iphdr {
	__u8 protocol;
};

struct ipv6hdr {
	__u8 nexthdr;
};

struct udphdr {
	__be16 source;
};

struct nf_hook_state {
	__u8 hook;
	__u8 pf;
};

struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

#pragma clang attribute pop

#define HOOK_LOCAL_IN 1
#define HOOK_LOCAL_OUT 3
#define HOOK_POSTROUTING 4
#define FAMILY_V4 2
#define FAMILY_V6 10

/* The low bits of `_nfct`: what conntrack knows of the packet. */
#define CT_INFO 7
#define CT_RELATED 1
#define CT_REPLY 3
#define CT_RELATED_REPLY 4
#define CT_UNTRACKED 7

/* Kernel functions: the loader turns calls of these numbers into calls of the functions. */
#define KFUNC_DYNPTR_FROM_SKB 0x70000001
#define KFUNC_DYNPTR_SLICE 0x70000002
#define KFUNC_RDONLY_CAST 0x70000003

static int (*const dynptr_from_skb)(struct sk_buff *skb, __u64 flags, struct bpf_dynptr *dynptr) =
	(void *)KFUNC_DYNPTR_FROM_SKB;
static void *(*const dynptr_slice)(const struct bpf_dynptr *dynptr, __u32 offset, void *buffer, __u32 size) =
	(void *)KFUNC_DYNPTR_SLICE;
/* No call is left of it: it makes a number an address that may be read. What is not there reads as zeroes. */
static const void *(*const rdonly_cast)(const void *address, __u32 type) = (void *)KFUNC_RDONLY_CAST;

/* The kernel's memory at an address, as a structure that the kernel has. */
#define AS(type, address) rdonly_cast(address, bpf_core_type_id_kernel(type))

#endif
