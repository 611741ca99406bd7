/*
 * Asks the real jansson what it makes of a message, for corpus.txt.
 * Build: cc -O2 -o oracle oracle.c -ljansson
 *
 * Requests on standard input and replies on standard output are a length (32 bit,
 * little endian) and that many bytes. The first byte of a request chooses how to
 * read the rest:
 *   m  as the WebSocket transport of Janus 1.1.4 and later does
 *   o  as that of Janus 1.1.2 does
 *   h  as the HTTP transport does
 * A reply is "e" line SP column SP position SP text, or "a" for an array over
 * HTTP, or "o" and, for each JSON text, NUL and its compact dump.
 */
#include <ctype.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *reply;
static size_t used, room;

static void add(const char *data, size_t len) {
	while(room - used < len)
		reply = realloc(reply, room = 2 * room + len);
	memcpy(reply + used, data, len);
	used += len;
}

static void fail(const json_error_t *error) {
	char head[64];
	used = 0;
	add(head, (size_t)snprintf(head, sizeof(head), "e%d %d %d ", error->line, error->column, error->position));
	add(error->text, strlen(error->text));
}

static void dump(json_t *json) {
	char *text = json_dumps(json, JSON_COMPACT);
	add("", 1);
	if(text != NULL)
		add(text, strlen(text));
	free(text);
	json_decref(json);
}

static void websocket(const char *cur, const char *end, int modern) {
	json_error_t error;
	add("o", 1);
	do {
		json_t *json = json_loads(cur, JSON_DISABLE_EOF_CHECK, &error);
		if(json == NULL) {
			fail(&error);
			return;
		}
		dump(json);
		cur += error.position;
		while(modern && cur < end && isspace((unsigned char)*cur))
			cur++;
	} while(cur < end);
}

static void http(const char *body) {
	json_error_t error;
	json_t *json = json_loads(body, 0, &error);
	if(json == NULL) {
		fail(&error);
	} else if(!json_is_object(json)) {
		json_decref(json);
		add("a", 1);
	} else {
		add("o", 1);
		dump(json);
	}
}

int main(void) {
	uint32_t len;
	while(fread(&len, 4, 1, stdin) == 1) {
		char *request = calloc(1, (size_t)len + 1);
		if(len == 0 || fread(request, 1, len, stdin) != len)
			return 1;
		used = 0;
		if(request[0] == 'h')
			http(request + 1);
		else
			websocket(request + 1, request + len, request[0] == 'm');
		len = (uint32_t)used;
		fwrite(&len, 4, 1, stdout);
		fwrite(reply, 1, used, stdout);
		fflush(stdout);
		free(request);
	}
	return 0;
}
