/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs need of the kernel's own types; offsets come from the running kernel's BTF (CO-RE). */
#ifndef PORTOLAN_KERNEL_H
#define PORTOLAN_KERNEL_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock;

struct sk_buff {
	struct sock *sk;
	unsigned long _nfct;
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

static int (*const dynptr_from_skb)(struct sk_buff *skb, __u64 flags, struct bpf_dynptr *dynptr) =
	(void *)KFUNC_DYNPTR_FROM_SKB;
static void *(*const dynptr_slice)(const struct bpf_dynptr *dynptr, __u32 offset, void *buffer, __u32 size) =
	(void *)KFUNC_DYNPTR_SLICE;

#endif
