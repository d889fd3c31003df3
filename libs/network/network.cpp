#include "network/network.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/file.h"

namespace bauta::network {
namespace {

constexpr std::string_view kMagic = "BAUTANET";
constexpr uint32_t kVersion = 2;
constexpr uint32_t kVersionWithoutBlocks = 1;
constexpr uint32_t kMaxNameBytes = 64;
constexpr uint32_t kMaxLayers = 64;
constexpr uint32_t kMaxPatchesPerSide = 8;
constexpr uint32_t kMaxMapSide = 64;
constexpr uint32_t kMaxChannels = 1024;  // of a patch
constexpr uint32_t kMaxOutputs = 4096;

enum LayerKind : uint32_t { kConvolution = 1, kSquare = 2, kLinear = 3, kOpeningConvolution = 4 };
enum Encoding : uint32_t { kFloat32 = 1, kFloat16 = 2 };

float from_half(uint16_t half) {
  const uint32_t sign = uint32_t{half} >> 15 << 31;
  const int exponent = (half >> 10) & 31;
  const int fraction = half & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u);  // refused as not finite
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(fraction), -24)
                              : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return sign ? -magnitude : magnitude;
}

// What the layers read so far leave for the next one.
struct Shape {
  uint32_t channels = 0;  // of a patch
  uint32_t side = 0;
  bool squared = false;     // the last layer was a square
  bool open_block = false;  // a shortcut waits to be added
};

class Parser {
 public:
  Parser(ByteView content, uint32_t version)
      : reader_(content, "the network file"), version_(version) {}

  Result<Network> parse();

 private:
  Result<float> number();
  Result<std::vector<float>> array(size_t count);
  Status header();
  Status geometry();
  Status layer(bool last);
  Result<Convolution> convolution();
  Result<Convolution> opening_convolution();
  Status check_convolution(const Convolution& layer) const;
  Result<Square> square();
  Result<Linear> linear();

  ByteReader reader_;
  uint32_t version_;
  Network network_;
  Shape shape_;
};

template <typename... Args>
Error damaged(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::corrupt, "the network file is not valid: {}",
                    fmt::format(format, std::forward<Args>(args)...));
}

Result<float> Parser::number() {
  BAUTA_TRY(const uint32_t bits, reader_.u32());
  const float value = std::bit_cast<float>(bits);
  if (!std::isfinite(value)) return damaged("a value is not finite");
  return value;
}

// Memory is taken only for values that are there.
Result<std::vector<float>> Parser::array(size_t count) {
  BAUTA_TRY(const uint32_t encoding, reader_.u32());
  if (encoding != kFloat32 && encoding != kFloat16)
    return damaged("{} is no encoding of weights", encoding);
  const size_t width_bytes = encoding == kFloat32 ? 4 : 2;
  BAUTA_TRY(ByteView bytes, reader_.raw(count * width_bytes));
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = 0;
    for (size_t b = 0; b < width_bytes; ++b)
      bits |= uint32_t{bytes[i * width_bytes + b]} << (8 * b);
    values[i] =
        encoding == kFloat32 ? std::bit_cast<float>(bits) : from_half(static_cast<uint16_t>(bits));
    if (!std::isfinite(values[i])) return damaged("a weight is not finite");
  }
  return values;
}

Status Parser::header() {
  BAUTA_TRY(network_.name, reader_.text(kMaxNameBytes));
  const bool plain_name = std::ranges::all_of(network_.name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  if (network_.name.empty() || !plain_name)
    return damaged("its name is empty or has characters other than letters, digits, '-', '_', '.'");
  BAUTA_TRY(network_.threshold_verify, number());
  BAUTA_TRY(network_.threshold_identify, number());
  if (network_.threshold_verify < -1 || network_.threshold_identify > 1 ||
      network_.threshold_verify > network_.threshold_identify)
    return damaged("its thresholds {} and {} are not cosines in rising order",
                   network_.threshold_verify, network_.threshold_identify);
  return geometry();
}

Status Parser::geometry() {
  InputGeometry& input = network_.input;
  BAUTA_TRY(input.packed_side, reader_.u32());
  BAUTA_TRY(input.side, reader_.u32());
  BAUTA_TRY(input.patches_per_side, reader_.u32());
  BAUTA_TRY(input.block_side, reader_.u32());
  const uint32_t largest_side = version_ == kVersionWithoutBlocks ? kFaceSide : kMaxPackedSide;
  if (input.packed_side == 0 || input.packed_side > largest_side || input.side == 0 ||
      input.side > input.packed_side || (input.packed_side - input.side) % 2 != 0)
    return damaged("{} central pixels of {} cannot be taken from a face scaled to {} at most",
                   input.side, input.packed_side, largest_side);
  if (input.patches_per_side == 0 || input.patches_per_side > kMaxPatchesPerSide ||
      input.block_side == 0 || input.block_side > input.side ||
      input.side % (input.patches_per_side * input.block_side) != 0)
    return damaged("{} pixels do not divide into {} patches with blocks of {}", input.side,
                   input.patches_per_side, input.block_side);
  if (input.map_side() < 2 || input.map_side() > kMaxMapSide || input.channels() > kMaxChannels)
    return damaged("maps of side {} with {} channels are outside the format's limits",
                   input.map_side(), input.channels());
  return {};
}

// What both kinds of convolution have in common.
Status Parser::check_convolution(const Convolution& layer) const {
  if (layer.patches != network_.input.patches() || layer.inputs != shape_.channels)
    return damaged("a convolution takes {} patches of {} channels, not {} of {}", layer.patches,
                   layer.inputs, network_.input.patches(), shape_.channels);
  if (layer.outputs == 0 || layer.outputs > kMaxChannels)
    return damaged("a convolution has {} outputs", layer.outputs);
  if (!network_.layers.empty() && !shape_.squared)
    return damaged("a convolution follows a convolution");
  return {};
}

Result<Convolution> Parser::convolution() {
  Convolution layer;
  BAUTA_TRY(layer.patches, reader_.u32());
  BAUTA_TRY(layer.outputs, reader_.u32());
  BAUTA_TRY(layer.inputs, reader_.u32());
  BAUTA_TRY(const uint32_t adds_trunk, reader_.u32());
  BAUTA_CHECK(check_convolution(layer));
  const bool first = network_.layers.empty();
  if (adds_trunk > 1 ||
      (adds_trunk == 1 && (first || shape_.open_block || layer.outputs != layer.inputs)))
    return damaged("a convolution cannot add the trunk");
  if (shape_.open_block && layer.outputs != layer.inputs)
    return damaged("a convolution of {} outputs cannot add a shortcut of {}", layer.outputs,
                   layer.inputs);
  layer.adds_trunk = adds_trunk == 1;
  BAUTA_TRY(layer.weights, array(size_t{layer.patches} * layer.outputs * layer.inputs * 9));
  shape_ = {.channels = layer.outputs, .side = shape_.side};
  return layer;
}

Result<Convolution> Parser::opening_convolution() {
  Convolution layer;
  BAUTA_TRY(layer.patches, reader_.u32());
  BAUTA_TRY(layer.outputs, reader_.u32());
  BAUTA_TRY(layer.inputs, reader_.u32());
  BAUTA_TRY(layer.stride, reader_.u32());
  BAUTA_TRY(const uint32_t projects, reader_.u32());
  if (network_.layers.empty() || shape_.open_block) return damaged("a block opens where none can");
  BAUTA_CHECK(check_convolution(layer));
  if (layer.stride == 0 || layer.stride > 2 || shape_.side % layer.stride != 0 ||
      shape_.side / layer.stride < 2)
    return damaged("maps of side {} are not taken in strides of {}", shape_.side, layer.stride);
  if (projects > 1 || (projects == 0 && (layer.stride != 1 || layer.outputs != layer.inputs)))
    return damaged("a shortcut of {} channels does not fit one of {}", layer.inputs, layer.outputs);
  BAUTA_TRY(layer.weights, array(size_t{layer.patches} * layer.outputs * layer.inputs * 9));
  BAUTA_TRY(layer.shortcut,
            array(size_t{layer.patches} * layer.outputs * (projects == 1 ? layer.inputs : 1)));
  shape_ = {.channels = layer.outputs, .side = shape_.side / layer.stride, .open_block = true};
  return layer;
}

Result<Square> Parser::square() {
  Square layer;
  BAUTA_TRY(layer.channels, reader_.u32());
  BAUTA_TRY(layer.side, reader_.u32());
  BAUTA_TRY(layer.bound, number());
  if (network_.layers.empty() || shape_.squared)
    return damaged("a square does not follow a convolution");
  if (layer.channels != network_.input.patches() * shape_.channels || layer.side != shape_.side ||
      layer.bound <= 0)
    return damaged("a square of {} channels, side {} and bound {} does not fit", layer.channels,
                   layer.side, layer.bound);
  BAUTA_TRY(layer.shift, array(size_t{layer.channels} * shape_.side * shape_.side));
  shape_.squared = true;
  return layer;
}

Result<Linear> Parser::linear() {
  Linear layer;
  BAUTA_TRY(layer.outputs, reader_.u32());
  BAUTA_TRY(layer.inputs, reader_.u32());
  BAUTA_TRY(layer.pool, reader_.u32());
  const uint32_t side = shape_.side;
  if (!shape_.squared || shape_.open_block)
    return damaged("the linear layer does not follow a square outside a block");
  if (layer.outputs == 0 || layer.outputs > kMaxOutputs)
    return damaged("the linear layer has {} outputs", layer.outputs);
  if (layer.pool == 0 || layer.pool > side || side % layer.pool != 0)
    return damaged("maps of side {} are not pooled by {}", side, layer.pool);
  const uint32_t pooled = side / layer.pool;
  if (layer.inputs != network_.input.patches() * shape_.channels * pooled * pooled)
    return damaged("the linear layer has {} inputs", layer.inputs);
  BAUTA_TRY(layer.weights, array(size_t{layer.outputs} * layer.inputs));
  BAUTA_TRY(layer.bias, array(layer.outputs));
  return layer;
}

Status Parser::layer(bool last) {
  BAUTA_TRY(const uint32_t kind, reader_.u32());
  if (last != (kind == kLinear)) return damaged("a linear layer must be the last, and only that");
  if (kind == kConvolution) {
    BAUTA_TRY(Convolution layer, convolution());
    network_.layers.emplace_back(std::move(layer));
  } else if (kind == kOpeningConvolution && version_ != kVersionWithoutBlocks) {
    BAUTA_TRY(Convolution layer, opening_convolution());
    network_.layers.emplace_back(std::move(layer));
  } else if (kind == kSquare) {
    BAUTA_TRY(Square layer, square());
    network_.layers.emplace_back(std::move(layer));
  } else if (kind == kLinear) {
    BAUTA_TRY(Linear layer, linear());
    network_.layers.emplace_back(std::move(layer));
  } else {
    return damaged("{} is no kind of layer", kind);
  }
  return {};
}

Result<Network> Parser::parse() {
  BAUTA_CHECK(header());
  shape_ = {.channels = network_.input.channels(), .side = network_.input.map_side()};
  BAUTA_TRY(const uint32_t layer_count, reader_.u32());
  if (layer_count < 3 || layer_count > kMaxLayers)
    return damaged("it has {} layers, allowed are 3 to {}", layer_count, kMaxLayers);
  for (uint32_t i = 1; i <= layer_count; ++i) BAUTA_CHECK(layer(i == layer_count));
  BAUTA_CHECK(reader_.finish());
  return std::move(network_);
}

}  // namespace

std::vector<uint32_t> Network::map_sides() const {
  std::vector<uint32_t> sides;
  uint32_t side = input.map_side();
  for (const Layer& layer : layers) {
    sides.push_back(side);
    if (const auto* convolution = std::get_if<Convolution>(&layer)) side /= convolution->stride;
  }
  return sides;
}

Result<Network> parse_network(ByteView file) {
  if (file.size() > kMaxFileBytes)
    return damaged("{} bytes are more than the {} allowed", file.size(), kMaxFileBytes);
  const size_t framing_bytes = kMagic.size() + 4 + sizeof(Digest);
  if (file.size() < framing_bytes || as_text(file.first(kMagic.size())) != kMagic)
    return make_error(ErrorCode::corrupt, "this is no network file: it does not begin with {}",
                      kMagic);
  ByteReader version_reader(file.subspan(kMagic.size(), 4), "the network file");
  BAUTA_TRY(const uint32_t version, version_reader.u32());
  if (version != kVersion && version != kVersionWithoutBlocks)
    return make_error(ErrorCode::mismatch,
                      "the network file has version {} of the format, this program reads {} and {}",
                      version, kVersionWithoutBlocks, kVersion);
  const ByteView content = file.first(file.size() - sizeof(Digest));
  const Digest digest = sha256(content);
  if (!std::ranges::equal(digest, file.last(sizeof(Digest))))
    return make_error(ErrorCode::corrupt,
                      "the network file is truncated or damaged: its checksum does not fit; "
                      "fetch it again");
  BAUTA_TRY(Network network, Parser(content.subspan(kMagic.size() + 4), version).parse());
  network.digest = digest;
  return network;
}

Result<Network> read_network(const std::filesystem::path& path) {
  BAUTA_TRY(const Bytes file, read_file(path, kMaxFileBytes));
  Result<Network> network = parse_network(file);
  if (!network.ok())
    return make_error(network.error().code, "{}: {}", path.string(), network.error().message);
  return network;
}

}  // namespace bauta::network
