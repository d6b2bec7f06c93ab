/* SPDX-License-Identifier: MIT */
/*
 * A run as lines of text, for machines whose results must leave them as they come: a guest's serial
 * port. What is read at the other end gives the same reports as a run there would.
 *
 * Each line is `number crc32 object`: its number, counted from 1 (0: not counted), the CRC-32 of the
 * object's text in hexadecimal, and a JSON object with one member. Lines that are damaged or missing
 * are noticed; empty ones say that the sender lives. results/README.md describes the objects.
 */
#ifndef KVMSPEC_STREAM_H
#define KVMSPEC_STREAM_H

#include "runner/run.h"

/* The sender. Returns NULL, or why the file or device cannot be written to (static buffer). */
const char *stream_open(const char *path);
/* Do nothing if no stream is open. Call stream_begin() when run->host and the plan are complete. */
void stream_begin(struct run *run);
void stream_starting(struct run *run, const struct planned *planned);
void stream_record(struct run *run, const json_t *record);
void stream_end(struct run *run);

/*
 * The receiver: reads a stream from path ("-": standard input) up to its end, and makes the reports
 * of it in out. Returns the program's exit status.
 */
int stream_receive(struct run *run, const char *path, const char *out);

#endif
