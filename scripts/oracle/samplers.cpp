// Makes tests/fixtures/samplers/llama_cpp.json: what llama.cpp's own samplers leave of logits, and what DRY lowers.
// Links against the library that node-llama-cpp brings along; how is in README.md. Nothing of llama.h but these declarations is needed.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

typedef int32_t llama_token;
struct llama_sampler;

struct llama_token_data {
  llama_token id;
  float logit;
  float p;
};

struct llama_token_data_array {
  llama_token_data * data;
  size_t size;
  int64_t selected;
  bool sorted;
};

extern "C" {
llama_sampler * llama_sampler_init_top_n_sigma(float n);
llama_sampler * llama_sampler_init_top_k(int32_t k);
llama_sampler * llama_sampler_init_typical(float p, size_t min_keep);
llama_sampler * llama_sampler_init_top_p(float p, size_t min_keep);
llama_sampler * llama_sampler_init_min_p(float p, size_t min_keep);
llama_sampler * llama_sampler_init_xtc(float p, float t, size_t min_keep, uint32_t seed);
llama_sampler * llama_sampler_init_temp_ext(float t, float delta, float exponent);
llama_sampler * llama_sampler_init_penalties(int32_t last_n, float repeat, float frequency, float presence);
llama_sampler * llama_sampler_init_mirostat(int32_t n_vocab, uint32_t seed, float tau, float eta, int32_t m);
llama_sampler * llama_sampler_init_mirostat_v2(uint32_t seed, float tau, float eta);
void llama_sampler_apply(llama_sampler * sampler, llama_token_data_array * candidates);
void llama_sampler_accept(llama_sampler * sampler, llama_token token);
}
llama_sampler * llama_sampler_init_dry_testing(float multiplier, float base, int32_t allowed_length, int32_t penalty_last_n,
                                               const std::vector<std::vector<llama_token>> & breakers);

static uint32_t state = 1;

static uint32_t random_below(uint32_t limit) {
  state = state * 1664525u + 1013904223u;
  return (uint32_t) (((uint64_t) (state >> 8) * limit) >> 24);
}

/** Candidates over a copy of the logits. */
struct Candidates {
  std::vector<llama_token_data> data;
  llama_token_data_array array;

  explicit Candidates(const std::vector<float> & logits) {
    for (size_t t = 0; t < logits.size(); t++) data.push_back({(llama_token) t, logits[t], 0});
    array = {data.data(), data.size(), -1, false};
  }

  /** What is left by token; -inf is dropped. */
  std::vector<std::pair<llama_token, float>> left() const {
    std::vector<float> by_token(data.size(), -INFINITY);
    for (size_t i = 0; i < array.size; i++) by_token[array.data[i].id] = array.data[i].logit;
    std::vector<std::pair<llama_token, float>> found;
    for (size_t t = 0; t < by_token.size(); t++) {
      if (by_token[t] != -INFINITY) found.push_back({(llama_token) t, by_token[t]});
    }
    return found;
  }
};

struct Chain {
  std::string name;
  std::vector<llama_sampler *> samplers;
};

static llama_sampler * penalties_after(std::vector<llama_token> tokens, int32_t last_n, float repeat) {
  llama_sampler * penalties = llama_sampler_init_penalties(last_n, repeat, 0, 0);
  for (llama_token token : tokens) llama_sampler_accept(penalties, token);
  return penalties;
}

static std::vector<Chain> filters() {
  auto xtc = [](float threshold) { return llama_sampler_init_xtc(1, threshold, 0, 1); };
  return {
    {"top_n_sigma 1", {llama_sampler_init_top_n_sigma(1)}},
    {"top_n_sigma 0.4", {llama_sampler_init_top_n_sigma(0.4f)}},
    {"typ_p 0.3", {llama_sampler_init_typical(0.3f, 0)}},
    {"typ_p 0.85", {llama_sampler_init_typical(0.85f, 0)}},
    {"xtc 0.1", {xtc(0.1f)}},
    {"xtc 0.02", {xtc(0.02f)}},
    {"dynatemp 0.9 0.6 1", {llama_sampler_init_temp_ext(0.9f, 0.6f, 1)}},
    {"dynatemp 0.5 0.8 2", {llama_sampler_init_temp_ext(0.5f, 0.8f, 2)}},
    {"default order",
     {llama_sampler_init_top_n_sigma(2), llama_sampler_init_top_k(12), llama_sampler_init_typical(0.95f, 0),
      llama_sampler_init_top_p(0.9f, 0), llama_sampler_init_min_p(0.05f, 0), xtc(0.15f),
      llama_sampler_init_temp_ext(0.8f, 0.3f, 1)}},
    {"temperature first",
     {llama_sampler_init_temp_ext(2, 0, 1), llama_sampler_init_min_p(0.2f, 0), llama_sampler_init_top_p(0.8f, 0)}},
    {"temperature, typ_p, top_k",
     {llama_sampler_init_temp_ext(0.7f, 0.5f, 1), llama_sampler_init_typical(0.7f, 0), llama_sampler_init_top_k(3)}},
    {"xtc, temperature 0", {xtc(0.1f), llama_sampler_init_temp_ext(0, 0, 1)}},
    {"temperature 2, repetition 1.5 of 3 5 3 8 9 1 2, last 4",
     {llama_sampler_init_temp_ext(2, 0, 1), penalties_after({3, 5, 3, 8, 9, 1, 2}, 4, 1.5f)}},
  };
}

template <typename T>
static std::string list(const std::vector<T> & items, const std::function<std::string(const T &)> & show) {
  std::string text = "[";
  for (size_t i = 0; i < items.size(); i++) text += (i ? ", " : "") + show(items[i]);
  return text + "]";
}

static std::string number(double x) {
  char text[40];
  snprintf(text, sizeof text, "%.9g", x);
  return text;
}

static std::string pair(const std::pair<llama_token, float> & p) { return "[" + number(p.first) + ", " + number(p.second) + "]"; }

static std::string tokens(const std::vector<llama_token> & all) {
  return list<llama_token>(all, [](const llama_token & t) { return number(t); });
}

static std::string filtered(const Chain & chain, const std::vector<float> & logits) {
  Candidates candidates(logits);
  for (llama_sampler * sampler : chain.samplers) llama_sampler_apply(sampler, &candidates.array);
  return "{ \"name\": \"" + chain.name + "\", \"left\": " + list<std::pair<llama_token, float>>(candidates.left(), pair) + " }";
}

/** Twelve tokens by mirostat; before each the logits are turned by five places more. */
static std::string mirostat(const std::string & name, llama_sampler * sampler, const std::vector<float> & logits) {
  std::vector<std::string> steps;
  for (size_t step = 0; step < 12; step++) {
    std::vector<float> turned;
    for (size_t i = 0; i < logits.size(); i++) turned.push_back(logits[(i + 5 * step) % logits.size()]);
    Candidates candidates(turned);
    llama_sampler_apply(sampler, &candidates.array);
    const auto & array = candidates.array;
    steps.push_back("[" + number((double) array.size) + ", " + number(array.data[array.selected].id) + "]");
  }
  return "{ \"name\": \"" + name + "\", \"steps\": " + list<std::string>(steps, [](const std::string & s) { return s; }) + " }";
}

static std::string dry(int index) {
  const std::vector<std::vector<llama_token>> breakers[] = {{{99}}, {{4}}, {{99}}, {{4, 1}, {2, 0, 1}, {4, 1, 3}}};
  const float multiplier = 0.8f + 0.1f * index;
  const float base = 1.1f + 0.15f * (index % 4);
  const int allowed = index % 4;
  const int last_n = index % 5 == 4 ? 12 : -1;
  const auto & own_breakers = breakers[index % 4];
  std::vector<llama_token> past;
  for (int i = 0; i < 6 + 5 * index; i++) past.push_back((llama_token) random_below(3 + index % 3));
  // The library's -1 means the context, of which this sampler knows nothing.
  llama_sampler * sampler = llama_sampler_init_dry_testing(multiplier, base, allowed, last_n < 0 ? 4096 : last_n, own_breakers);
  for (llama_token token : past) llama_sampler_accept(sampler, token);
  Candidates candidates(std::vector<float>(8, 0));
  llama_sampler_apply(sampler, &candidates.array);
  std::vector<std::pair<llama_token, float>> lowered;
  for (const auto & [token, logit] : candidates.left()) {
    if (logit != 0) lowered.push_back({token, -logit});
  }
  return "{ \"tokens\": " + tokens(past) + ", \"multiplier\": " + number(multiplier) + ", \"base\": " + number(base)
    + ", \"allowedLength\": " + number(allowed) + ", \"lastN\": " + number(last_n)
    + ", \"breakers\": " + list<std::vector<llama_token>>(own_breakers, tokens)
    + ", \"penalties\": " + list<std::pair<llama_token, float>>(lowered, pair) + " }";
}

int main() {
  printf("{\n  \"cases\": [\n");
  for (int i = 0; i < 2; i++) {
    std::vector<float> logits;
    while (logits.size() < 24) {
      const uint32_t sum = random_below(201) + random_below(201) + random_below(201) + random_below(201);
      const float logit = ((int) sum - 400) / 32.0f;
      // No two are the same: the library leaves the order of equals open.
      if (std::find(logits.begin(), logits.end(), logit) == logits.end()) logits.push_back(logit);
    }
    const int32_t vocab = (int32_t) logits.size();
    printf("    { \"logits\": %s,\n      \"chains\": [\n",
           list<float>(logits, [](const float & x) { return number(x); }).c_str());
    for (const Chain & chain : filters()) printf("        %s,\n", filtered(chain, logits).c_str());
    printf("        %s,\n", mirostat("mirostat_1", llama_sampler_init_mirostat(vocab, 7, 2, 0.3f, 100), logits).c_str());
    printf("        %s ] }%s\n", mirostat("mirostat_2", llama_sampler_init_mirostat_v2(7, 2, 0.3f), logits).c_str(), i == 0 ? "," : "");
  }
  printf("  ],\n  \"dry\": [\n");
  for (int i = 0; i < 16; i++) printf("    %s%s\n", dry(i).c_str(), i < 15 ? "," : "");
  printf("  ]\n}\n");
}
