#include "index/corpus.h"
