// Counts lines, words and bytes of the files in a directory, as `wc` does.
// The names are sorted; hidden ones, such as a ConfigMap's `..data`, are left out.

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counts {
    unsigned long lines, words, bytes;
};

static int visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int count(const char *path, struct counts *counts) {
    FILE *file = fopen(path, "r");
    if (file == NULL) return -1;
    int in_word = 0;
    for (int c; (c = getc(file)) != EOF;) {
        counts->bytes++;
        if (c == '\n') counts->lines++;
        if (isspace(c)) in_word = 0;
        else if (!in_word) in_word = 1, counts->words++;
    }
    int failed = ferror(file);
    fclose(file);
    return failed ? -1 : 0;
}

static void print(const struct counts *counts, const char *name) {
    printf("%6lu %6lu %6lu %s\n", counts->lines, counts->words, counts->bytes, name);
}

static int complain(const char *what) {
    fprintf(stderr, "word-count: %s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: word-count DIRECTORY\n");
        return 2;
    }
    struct dirent **entries;
    int found = scandir(argv[1], &entries, visible, alphasort);
    if (found < 0) return complain(argv[1]);
    struct counts total = {0};
    for (int i = 0; i < found; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        struct counts counts = {0};
        if (count(path, &counts) != 0) return complain(path);
        print(&counts, entries[i]->d_name);
        total.lines += counts.lines;
        total.words += counts.words;
        total.bytes += counts.bytes;
        free(entries[i]);
    }
    free(entries);
    print(&total, "total");
    return 0;
}
