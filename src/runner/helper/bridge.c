/*-------------------------------------------------------------------------
 *
 * bridge.c
 *	  The text of bridge.js within the program.
 *
 *-------------------------------------------------------------------------
 */
#include "runner/helper/engine.h"

__asm__(".section .rodata\n"
        ".balign 8\n"
        ".globl bridge_text\n"
        "bridge_text:\n"
        ".incbin \"src/runner/helper/bridge.js\"\n"
        "bridge_text_end:\n"
        ".byte 0\n"
        ".balign 4\n"
        ".globl bridge_text_len\n"
        "bridge_text_len:\n"
        ".long bridge_text_end - bridge_text\n"
        ".previous\n");
