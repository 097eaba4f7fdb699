#include "worker/models/language_model.h"
